-- Schema 2. Integers name rows inside; `uid` is the 16 bytes of an id that the outside knows.
-- Times are microseconds since 1970; texts named below as JSON are what party-core writes.
-- Blobs named below as lists are numbers of 7 bits a byte, the low ones first, as `code.rs` has them.
--
-- A commit writes whole pages to the log, so what counts is on how many pages its rows lie. All that is
-- new goes to the end of one table, `piece`, whatever its session, and pages there stay full. Where it
-- stands in its session and in threads is said by lists, whose open ends lie beside each other, in the
-- rows of the sessions and threads; of each 32 the list is closed and put away, as a part. So a group of
-- batches of many sessions changes hardly more pages than one of a single session.

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
    -- The rows of its records behind those of its parts: numbers with commas in between.
    tail TEXT NOT NULL DEFAULT '',
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

-- Where what is known by an id is: an item (its scope is 0), or the first record of a batch (its scope is
-- its session). The key is made of both so that ids of version 7 keep their order, and go to the end.
CREATE TABLE name (
    "key" INTEGER PRIMARY KEY,
    uid BLOB NOT NULL,
    scope INTEGER NOT NULL,
    piece INTEGER NOT NULL
) STRICT;

-- The same of those whose key another one has in `name`.
CREATE TABLE name_twin (
    "key" INTEGER NOT NULL,
    uid BLOB NOT NULL,
    scope INTEGER NOT NULL,
    piece INTEGER NOT NULL,
    PRIMARY KEY ("key", uid, scope)
) STRICT, WITHOUT ROWID;

-- The tags of records.
CREATE TABLE kind (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Records, and items, which have a body only. Items are written once, never updated but by an erasure.
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    body TEXT, -- JSON; NULL for an item in `item_large`
    session INTEGER, -- NULL for an item
    "offset" INTEGER,
    v INTEGER,
    class INTEGER, -- 0 input, 1 report, 2 decision, 3 trace
    kind INTEGER,
    at INTEGER,
    turn INTEGER,
    author TEXT, -- JSON
    items BLOB, -- a list of the rows of its items
    ops BLOB, -- a list; it names threads by row, items by their place among those of the record
    -- Of the first record of a batch: the batch's hash, and how many records it has.
    hash BLOB,
    count INTEGER
) STRICT;

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
    -- What it holds itself, behind what it shares and behind its parts: JSON lists with commas in between,
    -- each of the item's row, the offset, and where it is not 0 or something follows the index; then the
    -- way, a list in hexadecimal digits, where it was not said here.
    tail TEXT NOT NULL DEFAULT '',
    UNIQUE (session, uid)
) STRICT;

CREATE INDEX thread_by_session ON thread (session);
CREATE INDEX thread_by_parent ON thread (parent) WHERE parent IS NOT NULL;

-- What the rows of sessions and threads do not list any more, 32 rows in each part. The id is the number of
-- the part in its higher half, then the row of the session or thread, and last whether it is a thread.
CREATE TABLE part (
    id INTEGER PRIMARY KEY,
    list TEXT NOT NULL -- as `tail`
) STRICT;

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

-- The same as rows, for care and for people.

CREATE VIEW record AS
SELECT id, session, "offset", v, class, kind, at, turn, author, items, ops, body
FROM piece WHERE session IS NOT NULL;

CREATE VIEW item AS SELECT id, body FROM piece WHERE session IS NULL;

CREATE VIEW item_name AS
SELECT uid, piece AS item FROM name WHERE scope = 0
UNION ALL
SELECT uid, piece FROM name_twin WHERE scope = 0;

CREATE VIEW entry AS
WITH list (thread, first, entries) AS (
    SELECT thread.id, thread.after + 1 + 32 * (part.id >> 32), part.list
    FROM part JOIN thread ON thread.id = (part.id & 0xffffffff) >> 1 WHERE part.id & 1
    UNION ALL
    SELECT id, after + 1 + (head - after) / 32 * 32, tail FROM thread)
SELECT
    list.thread AS thread,
    list.first + one."key" AS position,
    json_extract(one.value, '$[0]') AS item,
    json_extract(one.value, '$[1]') AS "offset",
    coalesce(json_extract(one.value, '$[2]'), 0) AS idx,
    json_extract(one.value, '$[3]') AS how
FROM list JOIN json_each('[' || list.entries || ']') AS one;
