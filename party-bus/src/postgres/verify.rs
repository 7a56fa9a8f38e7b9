//! What the trait does not show: rows that no method reads, or that nothing refers to.

use super::{failure::Failure, link::Link};
use crate::Scope;

/// Each gives a row per problem, in words, of the session with the uid `$1` or of all; at most 100.
const CHECKS: [&str; 9] = [
    r#"SELECT format('session %s has %s records, its last is %s', encode(s.uid, 'hex'), count(r."offset"), s.head)
        FROM session s LEFT JOIN record r ON r.session = s.id WHERE ($1::bytea IS NULL OR s.uid = $1)
        GROUP BY s.id HAVING count(r."offset") <> s.head"#,
    "SELECT format('the batches of session %s hold %s records, its last is %s', encode(s.uid, 'hex'),
            coalesce(sum(b.last - b.first + 1), 0), s.head)
        FROM session s LEFT JOIN batch b ON b.session = s.id WHERE ($1::bytea IS NULL OR s.uid = $1)
        GROUP BY s.id HAVING coalesce(sum(b.last - b.first + 1), 0) <> s.head",
    "SELECT format('thread %s holds %s entries, and should %s', encode(t.uid, 'hex'), count(e.position),
            t.head - coalesce(t.after, 0))
        FROM thread t JOIN session s ON s.id = t.session LEFT JOIN entry e ON e.thread = t.id
        WHERE ($1::bytea IS NULL OR s.uid = $1) GROUP BY t.id
        HAVING count(e.position) <> t.head - coalesce(t.after, 0)",
    "SELECT format('thread %s holds %s compactions, and should %s', encode(t.uid, 'hex'), count(c.made),
            t.compactions)
        FROM thread t JOIN session s ON s.id = t.session LEFT JOIN compaction c ON c.thread = t.id
        WHERE ($1::bytea IS NULL OR s.uid = $1) GROUP BY t.id HAVING count(c.made) <> t.compactions",
    "SELECT format('entry %s of thread %s names an item that is not there', e.position, encode(t.uid, 'hex'))
        FROM session s JOIN thread t ON t.session = s.id JOIN entry e ON e.thread = t.id
        LEFT JOIN item i ON i.id = e.item WHERE ($1::bytea IS NULL OR s.uid = $1) AND i.id IS NULL",
    "SELECT format('a compaction of thread %s names an item that is not there', encode(t.uid, 'hex'))
        FROM session s JOIN thread t ON t.session = s.id JOIN compaction c ON c.thread = t.id
        LEFT JOIN item i ON i.id = c.item WHERE ($1::bytea IS NULL OR s.uid = $1) AND i.id IS NULL",
    r#"SELECT format('item %s says that record %s of row %s brought it', encode(i.uid, 'hex'), i."offset", i.session)
        FROM item i LEFT JOIN session s ON s.id = i.session
        WHERE (CASE WHEN $1::bytea IS NULL THEN s.id IS NULL ELSE s.uid = $1 END) AND i."offset" > coalesce(s.head, 0)"#,
    "SELECT format('thread %s belongs to no session', encode(t.uid, 'hex')) FROM thread t
        WHERE $1::bytea IS NULL AND NOT EXISTS (SELECT FROM session s WHERE s.id = t.session)",
    r#"SELECT format('record %s belongs to no session', r."offset") FROM record r
        WHERE $1::bytea IS NULL AND NOT EXISTS (SELECT FROM session s WHERE s.id = r.session)"#,
];

pub(super) async fn constraints(mut link: Link, scope: Scope) -> Result<(Link, Vec<String>), Failure> {
    let session = match &scope {
        Scope::Store => None,
        Scope::Session(session) => Some(&session.as_bytes()[..]),
    };
    let mut problems = Vec::new();
    // Of one moment: writers go on meanwhile.
    link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    for check in CHECKS {
        for row in link.query(check, &[&session]).await?.iter().take(100) {
            problems.push(row.try_get(0)?);
        }
    }
    link.commit().await?;
    Ok((link, problems))
}
