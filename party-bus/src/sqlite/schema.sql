-- Schema 1. Integers name rows inside; `uid` is the 16 bytes of an id that the outside knows.
-- Times are microseconds since 1970; texts named below as JSON are what party-core writes.

CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uid TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    -- The boot during which buffered records may not be on the disk; without meaning while clean.
    boot TEXT NOT NULL,
    clean INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    uid BLOB NOT NULL UNIQUE,
    head INTEGER NOT NULL DEFAULT 0,
    -- NULL while the session is leased and has no records.
    opened_at INTEGER,
    lease_owner TEXT, -- JSON; NULL while nobody holds it
    lease_token INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX session_by_age ON session (opened_at, uid) WHERE opened_at IS NOT NULL;

CREATE TABLE snapshot (
    session INTEGER PRIMARY KEY,
    engine TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE batch (
    session INTEGER NOT NULL,
    uid BLOB NOT NULL,
    hash BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (session, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    v INTEGER NOT NULL,
    class INTEGER NOT NULL, -- 0 input, 1 report, 2 decision, 3 trace
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    turn INTEGER,
    author TEXT, -- JSON
    items BLOB, -- the uids of its items, one after the other
    ops TEXT, -- JSON
    body TEXT NOT NULL, -- JSON
    UNIQUE (session, "offset")
) STRICT;

-- Written once, never updated.
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    uid BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE thread (
    id INTEGER PRIMARY KEY,
    uid BLOB NOT NULL,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    head INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session, uid)
) STRICT;

CREATE TABLE entry (
    thread INTEGER NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    how TEXT NOT NULL, -- JSON
    PRIMARY KEY (thread, position)
) STRICT, WITHOUT ROWID;
