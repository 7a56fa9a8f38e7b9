//! What is opened, and what is refused and left as it is.

use super::stage::{Look, OwnSchema, fresh};
use party_bus::{
    Bus as _, BusExt as _, Classes, ErrorKind, PostgresBus, PostgresOptions, Read,
    conformance::{Sample, note, say},
};
use party_core::{Author, How, Offset, Op, RecordClass};
use std::{sync::Arc, time::Duration};
use test_support::postgres::Cluster;

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused_and_left_as_it_is() {
    let stage = OwnSchema::new("newer");
    stage.bus().await.close().await.unwrap();
    let look = stage.look().await;
    look.run("UPDATE store SET schema = 2").await;
    let error = PostgresBus::open(stage.options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NewerVersion);
    assert!(error.to_string().contains(&stage.options.schema) && error.to_string().contains('2'), "{error}");
    assert_eq!(look.number("SELECT schema::bigint FROM store").await, 2);
}

#[tokio::test]
async fn a_schema_of_another_application_is_refused_and_left_as_it_is() {
    let url = Cluster::shared().url();
    let look = Look::at(&url).await;
    for table in ["CREATE TABLE customer (id integer)", "CREATE TABLE store (id integer)"] {
        let name = fresh("another");
        look.run(&format!("CREATE SCHEMA \"{name}\"; SET search_path TO \"{name}\"; {table}")).await;
        let error = PostgresBus::open(PostgresOptions::new(&url).schema(&name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
        let tables = format!("SELECT count(*) FROM pg_class WHERE relnamespace = '\"{name}\"'::regnamespace");
        assert_eq!(look.number(&tables).await, 1);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_or_read_is_told_apart() {
    let open = async |options: PostgresOptions| {
        let options = options.patience(Duration::from_millis(200));
        PostgresBus::open(options).await.map(drop).unwrap_err().kind()
    };
    assert_eq!(open(PostgresOptions::new("nonsense")).await, ErrorKind::Invalid);
    assert_eq!(
        open(PostgresOptions::new("postgres://party@127.0.0.1:1/postgres")).await,
        ErrorKind::Unavailable
    );
    let nowhere = Cluster::shared().url().replace("/postgres", "/nowhere");
    assert_eq!(open(PostgresOptions::new(nowhere)).await, ErrorKind::Io);
    let pg = PostgresOptions::new(Cluster::shared().url()).schema("pg_mine");
    assert_eq!(open(pg).await, ErrorKind::Invalid);
}

#[tokio::test]
async fn many_may_make_the_store_at_once() {
    let stage = OwnSchema::new("at once");
    let opening = (0..8).map(|_| PostgresBus::open(stage.options.clone()));
    let opened = futures::future::try_join_all(opening).await.unwrap();
    assert!(opened.iter().all(|bus| bus.info() == opened[0].info()));
}

#[tokio::test]
async fn rights_on_its_own_schema_are_all_it_needs() {
    let cluster = Cluster::shared();
    let look = Look::at(&cluster.url()).await;
    let role = fresh("narrow");
    let make = format!(
        "CREATE ROLE \"{role}\" LOGIN; CREATE SCHEMA \"{role}\" AUTHORIZATION \"{role}\";
         REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC"
    );
    look.run(&make).await;
    let url = format!("host=127.0.0.1 port={} user='{role}' dbname=postgres", cluster.port());
    let bus = PostgresBus::open(PostgresOptions::new(&url).schema(&role).searchable()).await.unwrap();
    let bus: Arc<dyn party_bus::BusAdmin> = Arc::new(bus);
    let sample = Sample::opened(&(bus.clone() as _)).await;
    let report = bus.verify(party_bus::Scope::Store).await.unwrap();
    assert_eq!((report.sessions, report.problems), (1, vec![]));
    bus.search(party_bus::Search::new("word")).await.unwrap();
    let erase = party_bus::Erase {
        items: vec![],
        bodies: vec![(sample.session, Offset(1), note(RecordClass::Report, "").body)],
    };
    bus.erase(erase).await.unwrap();
    let error = PostgresBus::open(PostgresOptions::new(&url).schema(fresh("not mine"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_is_raised_by_an_unclean_stop_and_by_no_clean_one() {
    let mut cluster = Cluster::start().unwrap();
    let stage = OwnSchema::on(&cluster, "epochs");
    let bus = stage.bus().await;
    let mut sample = Sample::opened(&bus).await;
    let first = bus.info().epoch;
    cluster.stop_fast().unwrap();
    cluster.start_again().unwrap();
    let learned = Read::new(sample.session, Offset(1)).in_epoch(first);
    assert_eq!(bus.read(learned.clone()).await.unwrap().entries, []);
    sample.write([note(RecordClass::Report, "after a clean stop")]).await.unwrap();

    cluster.kill().unwrap();
    cluster.start_again().unwrap();
    // Whoever reads first learns it, before anybody writes.
    let error = bus.read(learned.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rewound, "{error}");
    sample.write([note(RecordClass::Report, "after a crash")]).await.unwrap();
    assert_eq!(bus.read(learned).await.unwrap_err().kind(), ErrorKind::Rewound);
    let again = stage.bus().await;
    assert_eq!(again.info().epoch, first + 1);
    let records = again.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
    assert_eq!(records.len(), 3);
}

#[tokio::test]
async fn people_with_a_database_client_find_parties_and_their_messages() {
    let stage = OwnSchema::new("views");
    let bus = stage.bus().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(2).await;
    let item = say(&Author::human("ann"), "ship it?");
    let add = Op::Add { threads: threads.clone(), item: item.id, how: How::Said };
    let delivered = note(RecordClass::Decision, "").with_item(Arc::clone(&item)).with_op(add);
    sample.write([delivered]).await.unwrap();
    let look = stage.look().await;
    let party =
        look.client.query_one("SELECT session, state, records, depth FROM parties", &[]).await.unwrap();
    let shown: (String, String, i64, i64) = (party.get(0), party.get(1), party.get(2), party.get(3));
    assert_eq!(shown, (sample.session.to_string(), "open".into(), 3, 0));
    let sql = "SELECT session, \"offset\", thread, position, item, author, text FROM party_messages";
    let said = look.client.query_one(sql, &[]).await.unwrap();
    let names = [0, 2, 4].map(|column| said.get::<_, String>(column));
    assert_eq!(names, [sample.session.to_string(), threads[0].to_string(), item.id.to_string()]);
    assert_eq!((said.get::<_, i64>(1), said.get::<_, i64>(3)), (3, 1));
    assert_eq!([5, 6].map(|column| said.get::<_, String>(column)), ["ann", "ship it?"]);
}
