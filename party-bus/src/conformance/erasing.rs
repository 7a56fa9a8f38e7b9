//! Cases about taking content back.

use super::{
    sample::{Sample, body, delivery, fresh, note, say},
    stage::{Played, Stage, needs},
    writing::refused,
};
use crate::{Bus, BusExt as _, Classes, Erase, Erased, ErrorKind, SessionQuery, Snapshot, Window};
use party_core::{Author, ContentBlock, ItemId, Offset, RecordClass};
use std::sync::Arc;

/// In windows, among items and in records; who said it, and when, stays.
pub async fn an_erased_item_is_a_tombstone_wherever_it_stands(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.erase, "erase", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(2).await;
    let secret = sample.say(&threads, "secret").await;
    let kept = sample.say(&threads, "kept").await;
    let unknown = ItemId::derive(&[b"unknown", &fresh()]);
    let half = Erase { items: vec![secret.id, unknown], bodies: vec![] };
    let error = refused(admin.erase(half).await, ErrorKind::NotFound);
    assert!(error.to_string().contains(&unknown.to_string()), "{error}");
    assert_eq!(bus.items(&[secret.id]).await.expect("nothing was erased"), [Arc::clone(&secret)]);

    let erase = Erase { items: vec![secret.id], bodies: vec![] };
    for _ in 0..2 {
        let erased = admin.erase(erase.clone()).await.expect("it is there");
        assert_eq!(erased, Erased { items: 1, bodies: 0 });
    }
    let tombstone = Arc::new(secret.erased());
    assert_eq!(bus.items(&[secret.id]).await.expect("a tombstone"), [Arc::clone(&tombstone)]);
    for thread in threads {
        let entries = bus.window(Window::last(sample.session, thread, 9)).await.expect("a window").entries;
        let items: Vec<_> = entries.iter().map(|entry| Arc::clone(&entry.item)).collect();
        assert_eq!(items, [Arc::clone(&tombstone), Arc::clone(&kept)]);
    }
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.expect("the log");
    let brought: Vec<_> = records.iter().flat_map(|record| record.items.clone()).collect();
    assert_eq!(brought, [tombstone, kept]);
    sample.stands().await;
    Ok(())
}

/// Neither by the same item again, nor by a retry, nor by a copy into another session.
pub async fn an_erased_item_never_comes_back(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.erase, "erase", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(1).await;
    let secret = say(&Author::agent("Mary"), "secret");
    let batch = sample.batch([delivery(&secret, &threads)]);
    sample.head = bus.append(batch.clone()).await.expect("the first time").last;
    admin.erase(Erase { items: vec![secret.id], bodies: vec![] }).await.expect("it is there");

    assert!(bus.append(batch).await.expect("a retry").repeated);
    sample.write([delivery(&secret, &threads)]).await.expect("the same item again");
    let mut copy = Sample::opened(&bus).await;
    let copied = note(RecordClass::Decision, "copied").with_item(Arc::clone(&secret));
    copy.write([copied]).await.expect("the same item elsewhere");
    let tombstone = Arc::new(secret.erased());
    assert_eq!(bus.items(&[secret.id]).await.expect("a tombstone"), [Arc::clone(&tombstone)]);
    let buried = note(RecordClass::Decision, "buried").with_item(Arc::clone(&tombstone));
    copy.write([buried]).await.expect("its tombstone");
    assert_eq!(bus.items(&[secret.id]).await.expect("a tombstone"), [tombstone]);
    let mut other = (*secret).clone();
    other.content = vec![ContentBlock::text("another")];
    let other = note(RecordClass::Decision, "other").with_item(other);
    refused(copy.write([other]).await, ErrorKind::ItemConflict);
    for session in [sample.session, copy.session] {
        let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.expect("the log");
        assert!(records.iter().flat_map(|record| &record.items).all(|item| item.is_erased()));
    }
    let entries = bus.window(Window::last(sample.session, threads[0], 9)).await.expect("a window").entries;
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.item.is_erased()));
    Ok(())
}

/// Offsets, kinds and the receipt of its batch stay; snapshots, which may hold it, go.
pub async fn an_erased_body_is_replaced(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.erase, "erase", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let (mut sample, mut other) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let snapshot = Snapshot { engine: "v1".into(), offset: Offset(1), state: b"secret".to_vec() };
    let mut batches = Vec::new();
    for sample in [&mut sample, &mut other] {
        let batch = sample.batch([note(RecordClass::Report, "secret")]).with_snapshot(Some(snapshot.clone()));
        sample.head = bus.append(batch.clone()).await.expect("a step").last;
        batches.push(batch);
    }
    let nowhere = (sample.session, Offset(3), body("gone"));
    let half = Erase { items: vec![], bodies: vec![(sample.session, Offset(2), body("gone")), nowhere] };
    refused(admin.erase(half).await, ErrorKind::NotFound);
    let texts = async |session| {
        let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.expect("the log");
        records.iter().map(|record| record.body.get().to_owned()).collect::<Vec<_>>()
    };
    let json = |text: &str| body(text).get().to_owned();
    assert_eq!(texts(sample.session).await, [json("opened"), json("secret")]);
    let erase = Erase { items: vec![], bodies: vec![(sample.session, Offset(2), body("gone"))] };
    assert_eq!(admin.erase(erase).await.expect("it is there"), Erased { items: 0, bodies: 1 });
    assert_eq!(texts(sample.session).await, [json("opened"), json("gone")]);
    assert_eq!(texts(other.session).await, [json("opened"), json("secret")]);
    let kept = async |session| {
        let page = bus.sessions(SessionQuery::one(session)).await.expect("a list");
        page.entries[0].snapshot.clone()
    };
    assert_eq!(kept(sample.session).await, None);
    assert_eq!(kept(other.session).await, Some(snapshot));
    assert!(bus.append(batches.swap_remove(0)).await.expect("a retry").repeated);
    Ok(())
}

/// What one says reaches another through the log alone: taken off it before it is read, it is gone.
pub async fn a085_what_is_erased_before_it_is_read_reaches_nobody(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.erase, "erase", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let mut follow = Arc::clone(&bus).follow(sample.session, sample.head);
    let report = note(RecordClass::Report, "whisper").with_item(say(&Author::agent("child"), "whisper"));
    let item = report.items[0].id;
    sample.write([report]).await.expect("a report");
    let bodies = vec![(sample.session, sample.head, body(""))];
    admin.erase(Erase { items: vec![item], bodies }).await.expect("it is there");
    let read = serde_json::to_string(follow.next().await.expect("a record")).expect("JSON");
    assert!(!read.contains("whisper"), "{read}");
    Ok(())
}
