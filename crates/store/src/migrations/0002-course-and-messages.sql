-- How a scan went over time, for its chart: few points, however long it takes.
CREATE TABLE course (
    scan INTEGER PRIMARY KEY REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    points TEXT NOT NULL -- JSON: [span since the start, share settled from 0 to 1, probes a second]
) STRICT;

-- Messages that a server told of a scan under one number: from one start of it to the next.
CREATE TABLE telling (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    place INTEGER NOT NULL, -- its place in order, from 1
    log INTEGER NOT NULL, -- its number, in the ids of its messages
    head INTEGER NOT NULL, -- the last message that was told
    dropped INTEGER NOT NULL DEFAULT 0, -- the last message that is no longer kept
    PRIMARY KEY (scan, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX telling_by_log ON telling (scan, log);

-- A message that a server told of a scan, for who comes back after it.
CREATE TABLE message (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    place INTEGER NOT NULL, -- the place of its telling
    seq INTEGER NOT NULL, -- its number there
    event TEXT NOT NULL, -- its kind
    data TEXT NOT NULL, -- its JSON
    PRIMARY KEY (scan, place, seq)
) STRICT, WITHOUT ROWID;
