-- Schema 1. Big integers name rows inside; `uid` is the 16 bytes of an id that the outside knows.
-- Times are microseconds since 1970; texts named below as JSON are what party-core writes.
-- The application's name is what tells our schemas from others.

CREATE TABLE store (
    id smallint PRIMARY KEY CHECK (id = 1),
    application text NOT NULL CHECK (application = 'party'),
    schema integer NOT NULL,
    uid text NOT NULL,
    epoch bigint NOT NULL,
    -- Messages are made findable by their words.
    search boolean NOT NULL
);

-- Empty after an unclean stop of the server, for it is not logged, and not of this table after a restore
-- from a dump: both ways what was shown before may be gone.
CREATE UNLOGGED TABLE pulse (
    own oid PRIMARY KEY
);

-- Writers take numbers of rows in blocks.
CREATE SEQUENCE number INCREMENT BY 10000;

CREATE TABLE session (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    uid bytea NOT NULL UNIQUE,
    head bigint NOT NULL DEFAULT 0,
    opened_at bigint, -- NULL while the session is leased and has no records
    kind text,
    key text,
    parent bytea,
    wake bigint, -- NULL while it is idle; the smallest number for at once
    partial boolean NOT NULL DEFAULT false,
    changed xid8 NOT NULL DEFAULT '0', -- the transaction of its last batch
    lease_owner text, -- JSON; NULL while nobody holds it
    lease_token bigint NOT NULL DEFAULT 0,
    lease_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX session_by_age ON session (opened_at, uid) WHERE opened_at IS NOT NULL;
CREATE INDEX session_by_kind ON session (kind, opened_at, uid) WHERE kind IS NOT NULL;
CREATE INDEX session_by_parent ON session (parent, opened_at, uid) WHERE parent IS NOT NULL;
CREATE INDEX session_due ON session (wake, opened_at, uid)
    WHERE wake IS NOT NULL AND opened_at IS NOT NULL AND NOT partial;
CREATE INDEX session_changed ON session (changed);

CREATE TABLE snapshot (
    session bigint PRIMARY KEY,
    engine text NOT NULL,
    "offset" bigint NOT NULL,
    state bytea NOT NULL
);

CREATE TABLE batch (
    session bigint NOT NULL,
    uid bytea NOT NULL,
    hash bytea NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (session, uid)
);

CREATE TABLE record (
    session bigint NOT NULL,
    "offset" bigint NOT NULL,
    at bigint NOT NULL,
    turn bigint,
    bytes bigint NOT NULL, -- of its body and items, as a page counts them
    v integer NOT NULL,
    class smallint NOT NULL, -- 0 input, 1 report, 2 decision, 3 trace
    kind text NOT NULL,
    author text, -- JSON
    items bigint[],
    ops text, -- JSON
    body text NOT NULL, -- JSON
    PRIMARY KEY (session, "offset")
);

-- Written once; only erasing changes it.
CREATE TABLE item (
    id bigint PRIMARY KEY,
    uid bytea NOT NULL UNIQUE,
    -- The record that brought it first.
    session bigint NOT NULL,
    "offset" bigint NOT NULL,
    written bigint NOT NULL, -- when its transaction began
    body text NOT NULL -- JSON
);

CREATE INDEX item_by_record ON item (session, "offset");

-- Items that other sessions refer to than the one that brought them first.
CREATE TABLE shared (
    item bigint NOT NULL REFERENCES item,
    session bigint NOT NULL,
    PRIMARY KEY (item, session)
);

CREATE INDEX shared_by_session ON shared (session);

CREATE TABLE thread (
    id bigint PRIMARY KEY,
    session bigint NOT NULL,
    uid bytea NOT NULL,
    kind text NOT NULL,
    state smallint NOT NULL, -- 0 open, 1 closed, 2 resolved, 3 abandoned
    parent bigint, -- of a branch or a tangent
    after bigint, -- the last position that it shares
    made bigint NOT NULL, -- a packed place, as below
    depth smallint NOT NULL,
    head bigint NOT NULL,
    compactions integer NOT NULL,
    UNIQUE (session, uid)
) WITH (fillfactor = 80);

CREATE INDEX thread_by_age ON thread (session, made);
CREATE INDEX thread_by_parent ON thread (parent, made) WHERE parent IS NOT NULL;

CREATE TABLE entry (
    thread bigint NOT NULL,
    position bigint NOT NULL,
    item bigint NOT NULL,
    place bigint NOT NULL, -- record and index, packed
    how text, -- JSON; NULL where it was said
    PRIMARY KEY (thread, position)
);

CREATE TABLE compaction (
    thread bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    item bigint NOT NULL,
    made bigint NOT NULL,
    covered_last bigint, -- of the next larger one of the same thread
    covered_made bigint,
    PRIMARY KEY (thread, first, made)
);

-- The words of messages, built behind the writes, session by session.
CREATE TABLE word (
    item bigint PRIMARY KEY,
    at bigint NOT NULL,
    words tsvector NOT NULL
);

CREATE INDEX word_by_word ON word USING gin (words);

CREATE TABLE indexed (
    session bigint PRIMARY KEY,
    "offset" bigint NOT NULL
);
