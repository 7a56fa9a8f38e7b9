-- Schema 1. Integers name rows inside; `uid` is the 16 bytes of an id that the outside knows.
-- Times are microseconds since 1970; texts named below as JSON are what party-core writes.
-- Blobs named below as lists are numbers of 7 bits a byte, the low ones first, as `code.rs` has them.
--
-- What many sessions write at once has row ids of its own: it goes to the end of its tree, whose pages
-- stay full. What is only found by name has no row ids, so that the name is written once.

CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uid TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    -- The boot during which buffered records may not be on the disk; without meaning while clean.
    boot TEXT NOT NULL,
    clean INTEGER NOT NULL,
    -- No `session.changed` to come is as low as this; for when the session with the highest one goes.
    mark INTEGER NOT NULL DEFAULT 0,
    -- Raised when what readers were shown has changed: erased or pruned.
    cared INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    uid BLOB NOT NULL UNIQUE,
    head INTEGER NOT NULL DEFAULT 0,
    -- NULL while the session is leased and has no records.
    opened_at INTEGER,
    -- Its label; NULL where its first batch brought none.
    kind TEXT,
    "key" TEXT,
    parent BLOB, -- the uid of a session, which may be in another store
    -- When it wants to be driven: the least number of all for now, NULL for not before it is written to.
    wake INTEGER,
    partial INTEGER NOT NULL DEFAULT 0,
    -- Raised with each batch of any session.
    changed INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT, -- JSON; NULL while nobody holds it
    lease_token INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX session_by_age ON session (opened_at, uid) WHERE opened_at IS NOT NULL;
CREATE INDEX session_by_kind ON session (kind, opened_at, uid) WHERE kind IS NOT NULL;
CREATE INDEX session_by_parent ON session (parent, opened_at, uid) WHERE parent IS NOT NULL;
CREATE INDEX session_by_wake ON session (wake, opened_at, uid)
    WHERE wake IS NOT NULL AND partial = 0 AND opened_at IS NOT NULL;
CREATE INDEX session_by_change ON session (changed) WHERE changed > 0;

CREATE TABLE snapshot (
    session INTEGER PRIMARY KEY,
    engine TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    state BLOB NOT NULL
) STRICT;

-- By uid first: ids that are made one after the other lie beside each other, whatever their session.
CREATE TABLE batch (
    uid BLOB NOT NULL,
    session INTEGER NOT NULL,
    hash BLOB NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (uid, session)
) STRICT, WITHOUT ROWID;

-- The tags of records.
CREATE TABLE kind (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    v INTEGER NOT NULL,
    class INTEGER NOT NULL, -- 0 input, 1 report, 2 decision, 3 trace
    kind INTEGER NOT NULL,
    at INTEGER NOT NULL,
    turn INTEGER,
    author TEXT, -- JSON
    items BLOB, -- a list of the rows of its items
    ops BLOB, -- a list; it names threads by row, items by their place among those of the record
    body TEXT NOT NULL, -- JSON
    UNIQUE (session, "offset")
) STRICT;

-- Written once, never updated but by an erasure.
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    body TEXT -- JSON; NULL where it is in `item_large`
) STRICT;

CREATE TABLE item_name (
    uid BLOB PRIMARY KEY,
    item INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The bodies of more than 16 KiB, out of the way of the others.
CREATE TABLE item_large (
    item INTEGER PRIMARY KEY,
    body TEXT NOT NULL -- JSON
) STRICT;

-- In a session, an older thread has a lower row.
CREATE TABLE thread (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    uid BLOB NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, -- 0 open, 1 closed, 2 resolved, 3 abandoned
    -- The row of the thread that it is a branch or tangent of, and the last position that both share.
    parent INTEGER,
    after INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL, -- a place, packed
    depth INTEGER NOT NULL DEFAULT 0,
    -- The last position, what it shares included.
    head INTEGER NOT NULL DEFAULT 0,
    -- How many compactions are its own.
    compactions INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session, uid)
) STRICT;

CREATE INDEX thread_by_session ON thread (session);
CREATE INDEX thread_by_parent ON thread (parent) WHERE parent IS NOT NULL;

-- What a thread holds itself, behind what it shares.
CREATE TABLE entry (
    thread INTEGER NOT NULL,
    position INTEGER NOT NULL,
    item INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    how BLOB, -- a list; NULL for what was said here
    PRIMARY KEY (thread, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE compaction (
    thread INTEGER NOT NULL,
    first INTEGER NOT NULL,
    made INTEGER NOT NULL, -- a place, packed
    last INTEGER NOT NULL,
    item BLOB NOT NULL, -- the uid of the summary
    -- The end of the next larger range of the same thread, and when that was made.
    covered_last INTEGER,
    covered_made INTEGER,
    PRIMARY KEY (thread, first, made)
) STRICT, WITHOUT ROWID;
