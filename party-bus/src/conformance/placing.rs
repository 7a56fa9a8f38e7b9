//! Cases about items, and where they stand in threads.

use super::{
    sample::{Sample, delivery, note, say},
    stage::{Played, Stage},
};
use crate::{Bus, BusExt as _, Classes, ErrorKind, Layer, Page, Side, Window};
use party_core::{Author, Entry, ItemId, Offset, RecordClass, ThreadId, Topology};
use std::sync::Arc;

async fn shown(bus: &dyn Bus, window: Window) -> Page<Entry> {
    bus.window(window).await.expect("a window")
}

/// One record, one item, an entry in each thread.
pub async fn a038_a_fan_out_is_one_item_and_an_entry_in_each_thread(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(5).await;
    let item = say(&Author::human("ann"), "ship it?");
    let receipt = sample.write([delivery(&item, &threads)]).await.expect("a delivery");
    for (index, thread) in (0..).zip(&threads) {
        let entries = shown(&*bus, Window::last(sample.session, *thread, 10)).await.entries;
        let how = party_core::How::Said;
        assert_eq!(entries, [Entry::new(1, receipt.first, index, how, Arc::clone(&item))]);
    }
    Ok(())
}

/// One item stands at different places in two threads.
pub async fn a039_each_thread_has_its_own_dense_order(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(2).await;
    let said: Vec<_> = ["one", "two", "three"].map(|text| say(&Author::System, text)).into();
    let places: [&[ThreadId]; 3] = [&threads[..1], &threads[..1], &threads[..]];
    for (item, places) in said.iter().zip(places) {
        sample.write([delivery(item, places)]).await.expect("a delivery");
    }
    let mut orders = Vec::new();
    for thread in threads {
        let entries = shown(&*bus, Window::last(sample.session, thread, 10)).await.entries;
        orders.push(entries.iter().map(|entry| (entry.position, entry.item.text())).collect::<Vec<_>>());
    }
    let placed = |position, text: &str| (position, text.to_owned());
    assert_eq!(orders[0], [placed(1, "one"), placed(2, "two"), placed(3, "three")]);
    assert_eq!(orders[1], [placed(1, "three")]);
    Ok(())
}

/// Last, before and after, oldest entry first.
pub async fn a_window_shows_any_part_of_a_thread(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(2).await;
    for number in 1..=9 {
        let item = say(&Author::System, &number.to_string());
        sample.write([delivery(&item, &threads[..1])]).await.expect("a delivery");
    }
    let (long, empty) = (threads[0], threads[1]);
    for (window, positions, scanned_to, more) in [
        (Window::last(sample.session, long, 3), vec![7, 8, 9], 7, true),
        (Window::before(sample.session, long, 7, 3), vec![4, 5, 6], 4, true),
        (Window::before(sample.session, long, 4, 30), vec![1, 2, 3], 1, false),
        (Window::after(sample.session, long, 0, 2), vec![1, 2], 2, true),
        (Window::after(sample.session, long, 7, 2), vec![8, 9], 9, false),
        (Window::after(sample.session, long, 9, 2), vec![], 9, false),
        (Window::last(sample.session, empty, 3), vec![], 1, false),
    ] {
        let page = shown(&*bus, window).await;
        let found: Vec<u64> = page.entries.iter().map(|entry| entry.position).collect();
        assert_eq!((found, page.scanned_to, page.more), (positions, scanned_to, more), "{window:?}");
        assert!(page.entries.iter().all(|entry| entry.item.text() == entry.position.to_string()));
    }
    let unknown = bus
        .window(Window::last(sample.session, ThreadId::derive(&[b"unknown"]), 1))
        .await
        .expect_err("a refusal");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    Ok(())
}

/// What a store shows of a thread is what the ops of the log make of it.
pub async fn windows_equal_the_fold_of_ops(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(3).await;
    for number in 0..12 {
        let item = say(&Author::System, &number.to_string());
        let mut record = delivery(&item, &threads[number % 3..]);
        record.ops.extend(delivery(&item, &threads[..=number % 2]).ops);
        sample.write([record]).await.expect("a delivery");
    }
    let mut topology = Topology::default();
    for record in bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.expect("a page") {
        topology.apply(record.offset, &record.ops).expect("the store took these ops");
    }
    for (thread, _) in topology.outline().threads() {
        let entries = shown(&*bus, Window::last(sample.session, thread, 100)).await.entries;
        let place =
            |entry: &Entry| (entry.position, entry.offset, entry.index, entry.item.id, entry.how.clone());
        let stored: Vec<_> = entries.iter().map(place).collect();
        let (view, _) = topology.view(thread, Layer::Shown, Side::Last, 100).expect("it is open");
        let folded = view.into_iter().map(|(n, at)| (n, at.place.offset, at.place.index, at.item, at.how));
        assert_eq!(stored, folded.collect::<Vec<_>>());
    }
    Ok(())
}

/// The first one that is missing is named.
pub async fn items_come_in_the_order_asked_for(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let (one, two) = (say(&Author::System, "one"), say(&Author::System, "two"));
    let record = note(RecordClass::Report, "said").with_item(Arc::clone(&one)).with_item(Arc::clone(&two));
    sample.write([record]).await.expect("two items");
    let found = bus.items(&[two.id, one.id, two.id]).await.expect("they are there");
    assert_eq!(found, [Arc::clone(&two), one, two]);
    let unknown = ItemId::derive(&[b"unknown"]);
    let error = bus.items(&[found[0].id, unknown]).await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&unknown.to_string()), "{error}");
    Ok(())
}
