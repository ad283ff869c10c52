-- Times are microseconds since 1970-01-01 UTC, spans are microseconds. Addresses are one byte
-- for the family (4 or 6) and the address in network order, so that they sort as numbers do.

-- A scan: what was asked, how far it is, how it ended.
CREATE TABLE scan (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- sorts by creation, is never used again
    state TEXT NOT NULL,                  -- queued, running, paused, done, incomplete, interrupted, cancelled
    spec TEXT NOT NULL,                   -- what was asked, as JSON
    targets TEXT NOT NULL,                -- its targets in words, sorted: equal for scans of the same target
    args TEXT NOT NULL,                   -- the command line, as it was typed
    version TEXT NOT NULL,                -- the program's version
    who TEXT NOT NULL,                    -- who asked: a user, or empty
    detect INTEGER NOT NULL,              -- 1 where services were to be detected
    request_key TEXT UNIQUE,              -- the asker's own key, so that asking twice scans once
    owner TEXT,                           -- the lock file of the process that runs it
    created INTEGER NOT NULL,             -- when it was asked for
    started INTEGER,                      -- when it began
    techniques TEXT,                      -- how ports are asked, as JSON
    ports TEXT,                           -- which ports, in words, where they are not those of spec
    addresses TEXT,                       -- how many addresses, in decimal
    probes TEXT,                          -- how many pairs of address and port, in decimal
    seed INTEGER,                         -- what decides the order, as the same 64 bits
    done TEXT NOT NULL DEFAULT '0',       -- pairs that are settled, in decimal
    total TEXT NOT NULL DEFAULT '0',      -- pairs in all, in decimal
    hosts INTEGER NOT NULL DEFAULT 0,     -- hosts found
    open INTEGER NOT NULL DEFAULT 0,      -- open ports
    closed INTEGER NOT NULL DEFAULT 0,    -- closed ports
    filtered INTEGER NOT NULL DEFAULT 0,  -- filtered ports
    unsure INTEGER NOT NULL DEFAULT 0,    -- ports that are open or filtered
    finished INTEGER,                     -- when it ended
    outcome TEXT,                         -- complete, incomplete or interrupted, as the engine said
    elapsed INTEGER,                      -- span from start to end
    hosts_up INTEGER,                     -- hosts up, as the engine said
    hosts_down TEXT,                      -- addresses without an answer, in decimal
    sent INTEGER,                         -- probes sent
    loss REAL,                            -- the share that the path lost, 0 to 1
    missed REAL,                          -- how many open ports are expected to be missing
    previous INTEGER,                     -- the scan of the same targets before this one
    changes INTEGER,                      -- ports that differ from it, once ended
    indexed INTEGER NOT NULL DEFAULT 1    -- 1 while open_port holds its rows
) STRICT;
CREATE INDEX scan_by_targets ON scan (targets, id);
CREATE INDEX scan_by_state ON scan (state, id);

-- Something that a scan left out, or that one must know to read it right.
CREATE TABLE problem (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    place INTEGER NOT NULL,    -- its place in order, from 1
    about TEXT NOT NULL,       -- what it is about
    message TEXT NOT NULL,     -- what happened
    hint TEXT,                 -- what can be done
    left_out INTEGER NOT NULL, -- 1 where something is missing from the result
    PRIMARY KEY (scan, place)
) STRICT, WITHOUT ROWID;

-- Where a scan can go on after it was cut off; saved together with the results before it.
CREATE TABLE checkpoint (
    scan INTEGER PRIMARY KEY REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    at INTEGER NOT NULL,   -- when it was saved
    position BLOB NOT NULL -- the engine's own bytes
) STRICT;

-- A service, each different one once.
CREATE TABLE service (
    id INTEGER PRIMARY KEY,    -- its number here
    json TEXT NOT NULL UNIQUE, -- all that is known of it
    name TEXT NOT NULL,        -- the protocol's name, in lower case
    product TEXT NOT NULL,     -- the program, in lower case, or empty
    version TEXT NOT NULL,     -- its version, in lower case, or empty
    words TEXT NOT NULL        -- everything it said in lower case, for free text
) STRICT;

-- The states of all ports of a host, each different picture once.
CREATE TABLE shape (
    id INTEGER PRIMARY KEY, -- its number here
    hash INTEGER NOT NULL,  -- SipHash of data, to find it by
    data BLOB NOT NULL      -- runs of ports in one state, and the services of open ports
) STRICT;
CREATE INDEX shape_by_hash ON shape (hash);

-- What a scan found of a host.
CREATE TABLE scan_host (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    address BLOB NOT NULL,   -- the host
    reason INTEGER NOT NULL, -- how it is known to be up: the number of a reason
    rtt INTEGER,             -- span until its first answer
    ttl INTEGER,             -- TTL or hop limit of that answer
    first INTEGER NOT NULL,  -- when it was first heard of
    last INTEGER NOT NULL,   -- when it was last heard of
    names TEXT,              -- its names, as JSON
    shape INTEGER REFERENCES shape (id), -- the states of its ports
    times BLOB,              -- round-trip time, TTL and time of each open port
    settled INTEGER NOT NULL, -- 1 where all of it is in shape, and in host and port_state
    PRIMARY KEY (scan, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX scan_host_by_address ON scan_host (address, scan);
CREATE INDEX scan_host_by_shape ON scan_host (shape);

-- What a running scan has found since the host's shape was last put together.
CREATE TABLE part (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    address BLOB NOT NULL,  -- the host
    place INTEGER NOT NULL, -- its place in order
    data BLOB NOT NULL,     -- the facts of one batch
    PRIMARY KEY (scan, address, place)
) STRICT, WITHOUT ROWID;

-- The open ports of the latest scan of each target, to be found by any property.
CREATE TABLE open_port (
    scan INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE, -- which scan
    address BLOB NOT NULL,     -- the host
    protocol INTEGER NOT NULL, -- 0 TCP, 1 UDP
    port INTEGER NOT NULL,     -- its number
    code INTEGER NOT NULL,     -- state and reason: 1 + 16 * state + reason
    rtt INTEGER,               -- span until the answer
    ttl INTEGER,               -- TTL or hop limit of the answer
    at INTEGER NOT NULL,       -- when
    service INTEGER,           -- what runs there
    PRIMARY KEY (scan, address, protocol, port)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_port_by_port ON open_port (scan, port, address, protocol);

-- A host over all scans.
CREATE TABLE host (
    address BLOB PRIMARY KEY,     -- the host
    name TEXT,                    -- the last name it was known by
    first_seen INTEGER NOT NULL,  -- when it was first found
    last_seen INTEGER NOT NULL,   -- when it was last found
    last_scan INTEGER NOT NULL,   -- by which scan
    shape INTEGER,                -- the states of its ports then
    whole INTEGER NOT NULL,       -- 1 where that shape covers every open interval of the host
    open INTEGER NOT NULL         -- its open ports, over all scans
) STRICT, WITHOUT ROWID;

-- A span of time in which a port was open or answered without being plainly closed.
CREATE TABLE port_state (
    id INTEGER PRIMARY KEY,      -- its number here
    address BLOB NOT NULL,       -- the host
    protocol INTEGER NOT NULL,   -- 0 TCP, 1 UDP
    port INTEGER NOT NULL,       -- its number
    code INTEGER NOT NULL,       -- state and reason: 1 + 16 * state + reason
    service INTEGER,             -- what ran there
    first_scan INTEGER NOT NULL, -- the first scan that found it so
    first_at INTEGER NOT NULL,   -- when
    last_scan INTEGER NOT NULL,  -- the last scan that found it so
    last_at INTEGER NOT NULL,    -- when
    end_scan INTEGER,            -- the first scan that found it otherwise
    end_at INTEGER,              -- when
    end_code INTEGER             -- what it found
) STRICT;
CREATE INDEX port_state_by_address ON port_state (address, protocol, port, first_at);
CREATE INDEX port_state_now ON port_state (address) WHERE end_scan IS NULL;
CREATE INDEX port_state_by_first ON port_state (first_at);
CREATE INDEX port_state_by_end ON port_state (end_at) WHERE end_at IS NOT NULL;

-- A person who may log in.
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- its number here
    name TEXT NOT NULL UNIQUE COLLATE NOCASE, -- what is typed to log in
    password TEXT NOT NULL,               -- the hash of the password, with its parameters
    role TEXT NOT NULL,                   -- read, scan or admin
    created INTEGER NOT NULL,             -- when
    disabled INTEGER NOT NULL DEFAULT 0   -- 1 where log-in is refused
) STRICT;

-- A browser that is logged in.
CREATE TABLE session (
    hash BLOB PRIMARY KEY,  -- the hash of the cookie's secret
    user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE, -- who
    created INTEGER NOT NULL, -- when
    used INTEGER NOT NULL,    -- when it was last used
    expires INTEGER NOT NULL, -- from when on it counts no more
    agent TEXT NOT NULL,      -- what the browser calls itself
    address TEXT NOT NULL     -- where it came from
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_user ON session (user);

-- A key for programs.
CREATE TABLE token (
    id TEXT PRIMARY KEY,      -- its public part
    user INTEGER REFERENCES user (id) ON DELETE CASCADE, -- whose
    name TEXT NOT NULL,       -- what it is for
    hash BLOB NOT NULL,       -- the hash of its secret part
    scopes TEXT NOT NULL,     -- read, scan, admin: joined by blanks
    created INTEGER NOT NULL, -- when
    used INTEGER,             -- when it was last used
    expires INTEGER,          -- from when on it counts no more
    revoked INTEGER           -- when it was revoked
) STRICT, WITHOUT ROWID;

-- Who did what.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- sorts by time
    at INTEGER NOT NULL,     -- when
    who TEXT NOT NULL,       -- the user or token, or empty
    address TEXT NOT NULL,   -- where it came from, or empty
    action TEXT NOT NULL,    -- what was done: scan, delete, login, …
    subject TEXT NOT NULL,   -- to what: targets, a name
    scan INTEGER,            -- the scan it is about
    detail TEXT NOT NULL     -- more of it, or empty
) STRICT;
CREATE INDEX audit_by_scan ON audit (scan) WHERE scan IS NOT NULL;
