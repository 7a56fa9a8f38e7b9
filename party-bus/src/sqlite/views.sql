-- For people with a database client; nothing in Party reads them. What is not known is NULL.

-- One row per session.
CREATE VIEW parties AS
SELECT
    'ses_' || lower(hex(session.uid)) AS session,
    CASE WHEN session.parent IS NOT NULL THEN 'ses_' || lower(hex(session.parent)) END AS parent,
    -- How many sessions it lies below, as far as this store knows them.
    (WITH RECURSIVE above (uid) AS (
        SELECT session.parent WHERE session.parent IS NOT NULL
        UNION
        SELECT higher.parent FROM above JOIN session AS higher ON higher.uid = above.uid
        WHERE higher.parent IS NOT NULL)
     SELECT count(*) FROM above) AS depth,
    session.kind,
    session."key",
    opened.format,
    CASE
        WHEN session.partial THEN 'partial'
        WHEN closed.body IS NOT NULL THEN 'closed'
        ELSE 'open'
    END AS state,
    json_extract(closed.body, '$.reason') AS reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', session.opened_at / 1e6, 'unixepoch') AS opened_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', closed.at / 1e6, 'unixepoch') AS closed_at,
    -- US dollars, as far as runtimes told; how many of its attempts told nothing.
    cost.usd AS cost,
    cost.unknown AS unknown_costs,
    session.head AS records
FROM session
LEFT JOIN (
    -- With one min() or max(), SQLite takes the other columns from the row that has it.
    SELECT session, min("offset"), json_extract(body, '$.formatName') AS format
    FROM record WHERE kind = (SELECT id FROM kind WHERE name = 'sessionOpened')
    GROUP BY session) AS opened ON opened.session = session.id
LEFT JOIN (
    SELECT session, max("offset"), body, at
    FROM record WHERE kind = (SELECT id FROM kind WHERE name = 'sessionClosed')
    GROUP BY session) AS closed ON closed.session = session.id
LEFT JOIN (
    SELECT session,
           sum(json_extract(body, '$.cost.usd')) / 1e6 AS usd,
           count(*) - count(json_extract(body, '$.cost.usd')) AS unknown
    FROM record
    WHERE kind IN (SELECT id FROM kind WHERE name IN ('turnEnded', 'attemptEnded'))
    GROUP BY session) AS cost ON cost.session = session.id
WHERE session.opened_at IS NOT NULL;

-- One row for each item that stands in a thread of a session: where it came to stand first.
CREATE VIEW party_messages AS
SELECT
    'ses_' || lower(hex(session.uid)) AS session,
    record."offset",
    'thr_' || lower(hex(thread.uid)) AS thread,
    thread.kind AS thread_kind,
    placed.position,
    json_extract(content.body, '$.id') AS item,
    coalesce(json_extract(content.body, '$.author.name'), json_extract(content.body, '$.author.type')) AS author,
    json_extract(content.body, '$.kind') AS kind,
    (SELECT group_concat(json_extract(value, '$.text'), char(10)) FROM json_each(content.body, '$.content')
     WHERE json_extract(value, '$.type') = 'text') AS text,
    strftime('%Y-%m-%dT%H:%M:%fZ', json_extract(content.body, '$.createdAt') / 1e6, 'unixepoch') AS time,
    coalesce(record.turn, json_extract(record.body, '$.turn')) AS turn,
    -- US dollars of the attempt that ended with it.
    json_extract(record.body, '$.cost.usd') / 1e6 AS cost,
    json_extract(content.body, '$.confidence') AS confidence
FROM (
    SELECT thread.session, item, thread, position, min("offset" * 1048576 + idx) AS place
    FROM entry JOIN thread ON thread.id = entry.thread
    GROUP BY thread.session, item) AS placed
JOIN session ON session.id = placed.session
JOIN thread ON thread.id = placed.thread
JOIN record ON record.session = placed.session AND record."offset" = placed.place / 1048576
JOIN (
    SELECT id, coalesce(body, (SELECT body FROM item_large WHERE item = item.id)) AS body
    FROM item) AS content ON content.id = placed.item;
