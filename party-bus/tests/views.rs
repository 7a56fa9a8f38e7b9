//! What people see who open the file with a database client.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, Label, SqliteBus,
    conformance::{Sample, say},
};
use party_core::{
    Author, CloseReason, Cost, Document, Event, How, NewRecord, Offset, Op, Outcome, Sent, SessionClosed,
    SessionOpened, ThreadId, ThreadKind, Timestamp, TurnEnded, TurnId, Usage, Usd,
};
use rusqlite::{Connection, types::Value};
use std::sync::Arc;

fn opened(feed: ThreadId) -> NewRecord {
    let (format, text) = Document::new("council");
    let opened = SessionOpened {
        min_engine: 1,
        format_name: "council".into(),
        format,
        feed,
        seats: Vec::new(),
        budget: None,
        host_tools: Vec::new(),
    };
    NewRecord::new(Timestamp::from_micros(1_000_000), &opened.into())
        .with_item(text)
        .with_op(Op::Open { thread: feed, kind: ThreadKind::Feed })
}

fn ended(cost: Cost) -> Event {
    Event::from(TurnEnded {
        turn: TurnId(Offset(1)),
        attempt: 1,
        outcome: Outcome::Completed,
        item: None,
        usage: Usage::default(),
        cost,
        reason: None,
        failure: None,
        sent: Sent::Full,
    })
}

fn rows(conn: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut select = conn.prepare(sql).unwrap();
    let columns = select.column_count();
    let rows = select.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn text(text: impl ToString) -> Value {
    Value::Text(text.to_string())
}

#[tokio::test]
async fn a077_a_database_client_finds_parties_and_their_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let feed = ThreadId::derive(&[b"feed"]);
    let (mut parent, mut child) = (Sample::new(&bus).await, Sample::new(&bus).await);
    parent.write([opened(feed)]).await.unwrap();
    let label = Label { kind: "council".into(), key: "k".into(), parent: Some(parent.session) };
    child.head = bus.append(child.batch([opened(feed)]).labelled(label)).await.unwrap().last;

    let (plain, long) = (say(&Author::agent("Mary"), "ship it"), "x".repeat(20_000));
    let long_item = say(&Author::System, &long);
    let add = |item: &Arc<party_core::Item>| Op::Add { threads: vec![feed], item: item.id, how: How::Said };
    let at = Timestamp::from_micros(3_500_000);
    let paid = NewRecord::new(at, &ended(Cost::Reported(Usd::from_micros(1_250_000))));
    child.write([paid.with_item(Arc::clone(&plain)).with_op(add(&plain))]).await.unwrap();
    // Said again, it is the same message.
    let unpaid = NewRecord::new(at, &ended(Cost::Unknown)).with_op(add(&plain));
    child.write([unpaid.with_item(Arc::clone(&long_item)).with_op(add(&long_item))]).await.unwrap();
    child.write([NewRecord::new(at, &SessionClosed { reason: CloseReason::Finished }.into())]).await.unwrap();

    let conn = Connection::open(&path).unwrap();
    let columns = "session, parent, depth, format, state, reason, opened_at, closed_at, cost, unknown_costs";
    let parties = rows(&conn, &format!("SELECT {columns} FROM parties ORDER BY depth"));
    let (begun, over) = (text("1970-01-01T00:00:01.000Z"), text("1970-01-01T00:00:03.500Z"));
    let (none, format) = (Value::Null, text("council"));
    let of_parent = vec![
        text(parent.session),
        none.clone(),
        Value::Integer(0),
        format.clone(),
        text("open"),
        none.clone(),
        begun.clone(),
        none.clone(),
        none.clone(),
        none.clone(),
    ];
    let of_child = vec![
        text(child.session),
        text(parent.session),
        Value::Integer(1),
        format,
        text("closed"),
        text("finished"),
        begun,
        over,
        Value::Real(1.25),
        Value::Integer(1),
    ];
    assert_eq!(parties, [of_parent, of_child]);

    let columns =
        "session, \"offset\", thread, position, item, author, kind, text, time, turn, cost, confidence";
    let messages = rows(&conn, &format!("SELECT {columns} FROM party_messages ORDER BY \"offset\""));
    let message = |offset, position, item, author, said: &str, cost| {
        vec![
            text(child.session),
            Value::Integer(offset),
            text(feed),
            Value::Integer(position),
            text(item),
            text(author),
            text("message"),
            text(said),
            text("1970-01-01T00:00:02.000Z"),
            Value::Integer(1),
            cost,
            Value::Null,
        ]
    };
    let first = message(2, 1, plain.id, "Mary", "ship it", Value::Real(1.25));
    assert_eq!(messages, [first, message(3, 3, long_item.id, "system", &long, Value::Null)]);
}
