//! What must hold of a store whatever happened to it.

use crate::script::Acknowledged;
use party_bus::{Bus, BusExt as _, Classes, ThreadQuery, Window};
use party_core::{BatchId, Layer, Offset, Record, SessionId, Side, Topology};
use rusqlite::Connection;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// A session's records: dense, of whole batches, with their items, and shown by its threads.
pub(crate) async fn session(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<Arc<Record>> {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, (1..=records.len() as u64).collect::<Vec<_>>(), "{session}");
    assert_eq!(bus.head(session).await.unwrap().0, records.len() as u64, "{session}");
    batches_are_whole(&records);
    let mut topology = Topology::default();
    for record in &records {
        topology.apply(record.offset, &record.ops).unwrap();
    }
    shows(bus, session, &topology).await;
    let ids: Vec<_> = records.iter().flat_map(|record| &record.items).map(|item| item.id).collect();
    assert_eq!(bus.items(&ids).await.unwrap().len(), ids.len());
    records
}

/// Which batch a record is of, which part of it, and of how many.
pub(crate) fn part(record: &Record) -> (BatchId, usize, usize) {
    let body: serde_json::Value = serde_json::from_str(record.body.get()).unwrap();
    let words: Vec<&str> = body["text"].as_str().unwrap().split(' ').collect();
    (words[0].parse().unwrap(), words[1].parse().unwrap(), words[2].parse().unwrap())
}

fn batches_are_whole(records: &[Arc<Record>]) {
    let mut rest = records;
    while let [first, ..] = rest {
        let (id, _, count) = part(first);
        let parts: Vec<_> = rest.iter().take(count).map(|record| part(record)).collect();
        let whole: Vec<_> = (0..count).map(|nth| (id, nth, count)).collect();
        assert_eq!(parts, whole, "a torn batch at {} of {}", first.offset, first.session);
        rest = &rest[count..];
    }
}

async fn shows(bus: &Arc<dyn Bus>, session: SessionId, topology: &Topology) {
    let listed = bus.threads(ThreadQuery::all(session)).await.unwrap().entries;
    let listed: BTreeMap<_, _> = listed.iter().map(|info| (info.thread, (info.head, info.state))).collect();
    let folded =
        topology.outline().threads().map(|(thread, outlined)| (thread, (outlined.head, outlined.state)));
    assert_eq!(listed, folded.collect(), "{session}");
    for thread in listed.keys() {
        let last = Window::last(session, *thread, u32::MAX);
        for (layer, window) in [(Layer::Shown, last), (Layer::Archive, last.archive())] {
            let (folded, _) = topology.view(*thread, layer, Side::Last, u32::MAX).unwrap();
            let folded = folded.into_iter().map(|(position, reference)| {
                (position, reference.place.offset, reference.place.index, reference.how, reference.item)
            });
            let shown = bus.window(window).await.unwrap().entries;
            let shown = shown
                .into_iter()
                .map(|entry| (entry.position, entry.offset, entry.index, entry.how, entry.item.id));
            assert_eq!(shown.collect::<Vec<_>>(), folded.collect::<Vec<_>>(), "{thread} of {session}");
        }
    }
}

/// What was acknowledged is there: sent again, it is known, with the receipt of the first time.
pub(crate) async fn known(bus: &Arc<dyn Bus>, acknowledged: &[Acknowledged]) {
    let again = acknowledged.iter().map(|batch| bus.append(batch.again()));
    for (batch, receipt) in acknowledged.iter().zip(futures::future::join_all(again).await) {
        let receipt = receipt.unwrap_or_else(|error| panic!("{batch:?}: {error}"));
        let found = (receipt.repeated, receipt.first, receipt.last);
        assert_eq!(found, (true, batch.first, batch.last), "{batch:?}");
    }
}

/// SQLite finds nothing wrong with the file.
pub(crate) fn integrity(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let found: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}
