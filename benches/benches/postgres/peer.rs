//! The raw peer: what a careful program would do with tokio-postgres alone. One connection, prepared
//! statements over arrays, sent without waiting for each other; the tables and settings of a store, and for
//! each batch the same checks: does its writer hold the session, is the head where it thinks, is the batch
//! or its item there already, is its thread.

use futures::{join, try_join};
use party_bus::{Batch, Expect};
use party_core::{Item, Op};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use test_support::postgres::Cluster;
use tokio_postgres::{Client, Error, NoTls, Statement};

const SETTINGS: &str = "SET synchronous_commit = on; SET jit = off; SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
const STATEMENTS: [&str; 10] = [
    "SELECT uid, id, head, lease_owner IS NOT NULL, lease_token, partial FROM session
     WHERE uid = ANY($1) ORDER BY uid FOR UPDATE",
    "SELECT b.hash FROM unnest($1::bytea[], $2::bytea[]) w (session, batch)
     JOIN session s ON s.uid = w.session JOIN batch b ON b.session = s.id AND b.uid = w.batch",
    "SELECT i.id, i.body FROM unnest($1::bytea[]) w (uid) JOIN item i ON i.uid = w.uid",
    "SELECT s.uid, t.uid, t.id, t.head, t.state FROM unnest($1::bytea[], $2::bytea[]) w (session, thread)
     JOIN session s ON s.uid = w.session JOIN thread t ON t.session = s.id AND t.uid = w.thread",
    r#"INSERT INTO record (session, "offset", bytes, v, class, kind, at, items, ops, body)
       SELECT session, "offset", bytes, v, class, kind, at, ARRAY[item], ops, body
       FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::text[],
           $7::bigint[], $8::bigint[], $9::text[], $10::text[])
           u (session, "offset", bytes, v, class, kind, at, item, ops, body)"#,
    "INSERT INTO batch (session, uid, hash, first, last)
     SELECT session, uid, hash, at, at FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[])
         u (session, uid, hash, at)",
    r#"INSERT INTO item (uid, id, session, "offset", body, written)
       SELECT u.*, (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint
       FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) u"#,
    "UPDATE thread SET head = u.head FROM unnest($1::bigint[], $2::bigint[]) u (id, head) WHERE thread.id = u.id",
    "INSERT INTO entry (thread, position, item, place)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])",
    "UPDATE session SET head = u.head, opened_at = coalesce(session.opened_at, u.at),
         changed = pg_current_xact_id()
     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) u (id, head, at) WHERE session.id = u.id",
];
/// How far an offset is shifted where it stands beside an index in one number.
const PLACE: u32 = 20;

/// A batch as the values that it becomes, ready before any clock runs.
pub(crate) struct Ready {
    session: [u8; 16],
    id: [u8; 16],
    token: i64,
    head: i64,
    v: i32,
    class: i16,
    kind: String,
    at: i64,
    thread: [u8; 16],
    item: [u8; 16],
    text: String,
    ops: String,
    body: String,
}

impl Ready {
    /// Of a driver's batch: one record that adds what it brings to one thread.
    pub(crate) fn new(batch: &Batch) -> Self {
        let Expect::Driver { head, fencing_token } = batch.expect else { panic!("a driver's batch") };
        let [record] = &batch.records[..] else { panic!("one record") };
        let ([item], [op]) = (&record.items[..], &record.ops[..]) else { panic!("one item, one change") };
        let Op::Add { threads, .. } = op else { panic!("what a bench adds") };
        let item: &Item = item;
        Self {
            session: *batch.session.as_bytes(),
            id: *batch.id.as_bytes(),
            token: fencing_token.cast_signed(),
            head: head.0.cast_signed(),
            v: record.v.into(),
            class: record.class as i16,
            kind: record.kind.clone(),
            at: record.at.as_micros(),
            thread: *threads[0].as_bytes(),
            item: *item.id.as_bytes(),
            text: serde_json::to_string(item).expect("an item is JSON"),
            ops: serde_json::to_string(&record.ops).expect("changes are JSON"),
            body: record.body.get().to_owned(),
        }
    }

    fn hash(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        for text in [&self.kind, &self.body, &self.ops, &self.text] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        half
    }
}

pub(crate) struct Peer {
    client: Client,
    statements: Vec<Statement>,
    /// The last row that an item took.
    items: i64,
}

impl Peer {
    /// Connects to the tables in `schema`, where the sessions are.
    pub(crate) async fn connect(cluster: &Cluster, schema: &str) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(&cluster.url(), NoTls).await?;
        drop(tokio::spawn(connection));
        client.batch_execute(&format!("SET search_path TO \"{schema}\"; {SETTINGS}")).await?;
        let mut statements = Vec::new();
        for sql in STATEMENTS {
            statements.push(client.prepare(sql).await?);
        }
        Ok(Self { client, statements, items: 0 })
    }

    /// Writes batches of different sessions in one synced transaction.
    pub(crate) async fn write(&mut self, group: &[Ready]) -> Result<(), Error> {
        let Known { sessions, threads } = self.check(group).await?;
        let (client, statements) = (&self.client, &self.statements);
        let column = |of: &dyn Fn(&Ready) -> i64| group.iter().map(of).collect::<Vec<i64>>();
        let texts = |of: fn(&Ready) -> &str| group.iter().map(of).collect::<Vec<&str>>();
        let session = column(&|one| sessions[&one.session]);
        let offset = column(&|one| one.head + 1);
        let thread = column(&|one| threads[&one.thread].0);
        let position = column(&|one| threads[&one.thread].1 + 1);
        let place = column(&|one| (one.head + 1) << PLACE);
        let bytes = column(&|one| (one.body.len() + one.text.len()) as i64);
        let at = column(&|one| one.at);
        let item: Vec<i64> = (self.items + 1..).take(group.len()).collect();
        self.items += group.len() as i64;
        let v: Vec<i32> = group.iter().map(|one| one.v).collect();
        let class: Vec<i16> = group.iter().map(|one| one.class).collect();
        let (kind, ops) = (texts(|one| &one.kind), texts(|one| &one.ops));
        let (body, text) = (texts(|one| &one.body), texts(|one| &one.text));
        let ids: Vec<[u8; 16]> = group.iter().map(|one| one.id).collect();
        let items: Vec<[u8; 16]> = group.iter().map(|one| one.item).collect();
        let hash: Vec<[u8; 16]> = group.iter().map(Ready::hash).collect();

        let outcomes = join!(
            async {
                client
                    .execute(
                        &statements[4],
                        &[&session, &offset, &bytes, &v, &class, &kind, &at, &item, &ops, &body],
                    )
                    .await
            },
            async { client.execute(&statements[5], &[&session, &ids, &hash, &offset]).await },
            async { client.execute(&statements[6], &[&items, &item, &session, &offset, &text]).await },
            async { client.execute(&statements[7], &[&thread, &position]).await },
            async { client.execute(&statements[8], &[&thread, &position, &item, &place]).await },
            async { client.execute(&statements[9], &[&session, &offset, &at]).await },
            client.batch_execute("COMMIT"),
        );
        outcomes.0.and(outcomes.1).and(outcomes.2).and(outcomes.3)?;
        outcomes.4.and(outcomes.5)?;
        outcomes.6
    }

    /// Begins the transaction, and checks each batch against what it has locked.
    async fn check(&self, group: &[Ready]) -> Result<Known, Error> {
        let sessions: Vec<[u8; 16]> = group.iter().map(|one| one.session).collect();
        let ids: Vec<[u8; 16]> = group.iter().map(|one| one.id).collect();
        let items: Vec<[u8; 16]> = group.iter().map(|one| one.item).collect();
        let threads: Vec<[u8; 16]> = group.iter().map(|one| one.thread).collect();
        let (client, statements) = (&self.client, &self.statements);
        let (_, locked, batches, there, named) = try_join!(
            client.batch_execute("BEGIN"),
            async { client.query(&statements[0], &[&sessions]).await },
            async { client.query(&statements[1], &[&sessions, &ids]).await },
            async { client.query(&statements[2], &[&items]).await },
            async { client.query(&statements[3], &[&sessions, &threads]).await },
        )?;
        assert!(batches.is_empty() && there.is_empty(), "new batches of new items");
        let mut known = Known { sessions: HashMap::new(), threads: HashMap::new() };
        let mut heads = HashMap::new();
        for row in locked {
            let (is_held, is_partial): (bool, bool) = (row.get(3), row.get(5));
            assert!(is_held && !is_partial, "a session that is driven");
            heads.insert(uid(row.get(0)), (row.get::<_, i64>(2), row.get::<_, i64>(4)));
            known.sessions.insert(uid(row.get(0)), row.get(1));
        }
        for one in group {
            assert_eq!(heads.get(&one.session), Some(&(one.head, one.token)), "a batch that fits");
        }
        for row in named {
            assert_eq!(row.get::<_, i16>(4), 0, "an open thread");
            known.threads.insert(uid(row.get(1)), (row.get(2), row.get(3)));
        }
        Ok(known)
    }
}

/// The rows of what batches name: of sessions, and of threads with their heads.
struct Known {
    sessions: HashMap<[u8; 16], i64>,
    threads: HashMap<[u8; 16], (i64, i64)>,
}

fn uid(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().expect("an id of 16 bytes")
}
