-- Words that people gave a host; they stay when scans go.
CREATE TABLE host_tag (
    address BLOB NOT NULL, -- whose: the host
    word TEXT NOT NULL,    -- the tag, in small letters
    PRIMARY KEY (address, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_tag_by_word ON host_tag (word, address);

-- Words that people gave a scan; they go with it.
CREATE TABLE scan_tag (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- whose: the scan
    word TEXT NOT NULL, -- the tag, in small letters
    PRIMARY KEY (scan, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX scan_tag_by_word ON scan_tag (word, scan);
