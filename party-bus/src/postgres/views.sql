-- For people with a database client; nothing in Party reads them. What is not known is NULL.

-- One row per session.
CREATE VIEW parties AS
SELECT
    'ses_' || encode(session.uid, 'hex') AS session,
    'ses_' || encode(session.parent, 'hex') AS parent,
    -- How many sessions it lies below, as far as this store knows them.
    (WITH RECURSIVE above (uid) AS (
        SELECT session.parent WHERE session.parent IS NOT NULL
        UNION
        SELECT higher.parent FROM above JOIN session AS higher ON higher.uid = above.uid
        WHERE higher.parent IS NOT NULL)
     SELECT count(*) FROM above) AS depth,
    session.kind,
    session.key,
    (SELECT body::json ->> 'formatName' FROM record
     WHERE record.session = session.id AND record.kind = 'sessionOpened'
     ORDER BY "offset" LIMIT 1) AS format,
    CASE
        WHEN session.partial THEN 'partial'
        WHEN closed.body IS NOT NULL THEN 'closed'
        ELSE 'open'
    END AS state,
    closed.body::json ->> 'reason' AS reason,
    to_timestamp(session.opened_at / 1e6) AS opened_at,
    to_timestamp(closed.at / 1e6) AS closed_at,
    -- US dollars, as far as runtimes told; how many of its attempts told nothing.
    cost.usd AS cost,
    cost.unknown AS unknown_costs,
    session.head AS records
FROM session
LEFT JOIN LATERAL (
    SELECT body, at FROM record WHERE record.session = session.id AND record.kind = 'sessionClosed'
    ORDER BY "offset" DESC LIMIT 1) AS closed ON true
LEFT JOIN (
    SELECT session,
        sum((body::json -> 'cost' ->> 'usd')::numeric) / 1e6 AS usd,
        count(*) - count(body::json -> 'cost' ->> 'usd') AS unknown
    FROM record WHERE kind IN ('turnEnded', 'attemptEnded')
    GROUP BY session) AS cost ON cost.session = session.id
WHERE session.opened_at IS NOT NULL;

-- One row for each item that stands in a thread of a session: where it came to stand first.
CREATE VIEW party_messages AS
SELECT
    'ses_' || encode(session.uid, 'hex') AS session,
    record."offset",
    'thr_' || encode(placed.uid, 'hex') AS thread,
    placed.kind AS thread_kind,
    placed.position,
    'itm_' || encode(item.uid, 'hex') AS item,
    coalesce(item.body::json -> 'author' ->> 'name', item.body::json -> 'author' ->> 'type') AS author,
    item.body::json ->> 'kind' AS kind,
    (SELECT string_agg(block ->> 'text', E'\n') FROM json_array_elements(item.body::json -> 'content') AS block
     WHERE block ->> 'type' = 'text') AS text,
    to_timestamp((item.body::json ->> 'createdAt')::numeric / 1e6) AS time,
    coalesce(record.turn, (record.body::json ->> 'turn')::bigint) AS turn,
    -- US dollars of the attempt that ended with it.
    (record.body::json -> 'cost' ->> 'usd')::numeric / 1e6 AS cost,
    (item.body::json ->> 'confidence')::numeric AS confidence
FROM (
    SELECT DISTINCT ON (thread.session, entry.item)
        thread.session, entry.item, thread.uid, thread.kind, entry.position, entry.place
    FROM entry JOIN thread ON thread.id = entry.thread
    ORDER BY thread.session, entry.item, entry.place) AS placed
JOIN session ON session.id = placed.session
JOIN record ON record.session = placed.session AND record."offset" = placed.place >> 20
JOIN item ON item.id = placed.item;
