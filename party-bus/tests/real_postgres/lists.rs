//! What a store with many sessions does to list them.

use super::stage::{Look, OwnSchema};
use party_bus::{SessionQuery, Watch};
use party_core::SessionId;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

/// Sessions as if somebody had opened them, in one transaction.
async fn open_many(look: &Look, count: u32) {
    look.run(&format!(
        "INSERT INTO session (uid, head, opened_at, kind, key, parent, wake, changed)
         SELECT decode(md5(n::text), 'hex'), 1, n, 'kind ' || n % 500, 'key ' || n, decode(md5((n / 10)::text), 'hex'),
             CASE WHEN n % 100 = 0 THEN n END, pg_current_xact_id()
         FROM generate_series(1, {count}) n"
    ))
    .await;
}

fn list(limit: u32, set: impl FnOnce(&mut SessionQuery)) -> SessionQuery {
    let mut query = SessionQuery::newest();
    query.limit = limit;
    set(&mut query);
    query
}

/// How the server carries out the last list of sessions that a bus asked for, whatever is asked for.
async fn plan(stage: &OwnSchema, look: &Look) -> String {
    let sql = "SELECT query FROM pg_stat_activity
         WHERE application_name = $1 AND query LIKE 'SELECT s.uid, s.head, s.opened_at%'";
    let query: String = look.client.query_one(sql, &[&stage.options.schema]).await.unwrap().get(0);
    let given = (1..).take_while(|number| query.contains(&format!("${number}"))).map(|_| "NULL");
    let given: Vec<&str> = given.collect();
    look.run(&format!("DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan; PREPARE list AS {query}"))
        .await;
    let rows = look.client.query(&format!("EXPLAIN EXECUTE list ({})", given.join(", ")), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_of_sessions_has_an_index() {
    let mut stage = OwnSchema::new("lists");
    stage.options.readers = 1;
    let bus = stage.bus().await;
    let look = stage.look().await;
    open_many(&look, 5_000).await;
    look.run("ANALYZE session").await;
    let all = bus.sessions(list(10, |_| {})).await.unwrap();
    let (one, parent) = (all.entries[0].session, all.entries[0].label.as_ref().unwrap().parent.unwrap());
    let mut due_one = SessionQuery::due(10);
    due_one.session = Some(one);
    let lists = [
        (list(10, |_| {}), 10, "session_by_age", ""),
        (SessionQuery::one(one), 1, "session_uid_key", "(uid = $1)"),
        (list(100, |query| query.kind = Some("kind 7".into())), 10, "session_by_kind", "(kind = $2)"),
        (list(100, |query| query.parent = Some(parent)), 1, "session_by_parent", "(parent = $3)"),
        (SessionQuery::due(100), 50, "session_due", "(wake <= $4)"),
        (due_one, 1, "session_uid_key", "(uid = $1)"),
    ];
    for (query, count, index, condition) in lists {
        let found = bus.sessions(query.clone()).await.unwrap();
        assert_eq!(found.entries.len(), count, "{query:?}");
        let plan = plan(&stage, &look).await;
        assert!(plan.contains(index) && plan.contains(condition), "{query:?}: {plan}");
        assert!(!plan.contains("Seq Scan on session"), "{query:?}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_transaction_keeps_no_session_from_whoever_waits_for_any() {
    let stage = OwnSchema::new("old transaction");
    let bus = stage.bus().await;
    let (old, look) = (stage.look().await, stage.look().await);
    old.run("BEGIN; SELECT pg_current_xact_id()").await;
    open_many(&look, 1_200).await;
    let (mut since, mut seen) = (0, BTreeSet::<SessionId>::new());
    for _ in 0..3 {
        let watch = Watch::Any { since };
        let changed = timeout(Duration::from_secs(60), bus.changed(watch)).await.unwrap().unwrap();
        since = changed.mark;
        seen.extend(changed.sessions.into_iter().map(|(session, _)| session));
    }
    assert_eq!(seen.len(), 1_200);
    old.run("COMMIT").await;
}
