use super::*;
use crate::{Classes, Error, ErrorKind, conformance::note};
use futures::{FutureExt as _, future::join_all};
use party_core::RecordClass;
use std::{cell::Cell, future::ready};

fn session() -> SessionId {
    SessionId::derive(&[b"followed"])
}

/// Records `first..=last` of 100 bytes each; every third is trace.
fn fresh(first: u64, last: u64) -> Vec<Fresh> {
    let class = |offset: u64| if offset.is_multiple_of(3) { RecordClass::Trace } else { RecordClass::Report };
    let record = |offset| note(class(offset), "said").placed(session(), Offset(offset), None);
    (first..=last).map(|offset| (Arc::new(record(offset)), 100)).collect()
}

fn offsets(page: &Page<Arc<Record>>) -> Vec<u64> {
    page.entries.iter().map(|record| record.offset.0).collect()
}

/// A tail that somebody waits on who knows records up to `after`, which is the head.
fn waited(after: u64) -> Tail {
    let tail = Tail::new();
    assert!(tail.changed(session(), Offset(after), || ready(Ok(Offset(after)))).now_or_never().is_none());
    tail
}

/// What `read` gets from memory, where it does not go to the store.
fn kept(tail: &Tail, read: &Read) -> Option<Page<Arc<Record>>> {
    tail.read(read, |_| std::future::pending()).now_or_never().map(|page| page.expect("a page"))
}

fn never() -> std::future::Ready<Result<Offset>> {
    panic!("the store was asked")
}

#[test]
fn what_nobody_follows_is_not_kept() {
    let tail = Tail::new();
    tail.publish(session(), Offset(2), fresh(1, 2));
    assert!(!tail.is_followed(session()) && kept(&tail, &Read::new(session(), Offset::START)).is_none());
}

#[test]
fn records_come_from_memory_and_never_claim_to_be_the_last() {
    let tail = waited(3);
    tail.publish(session(), Offset(9), fresh(4, 9));
    assert_eq!(tail.changed(session(), Offset(3), never).now_or_never().unwrap().unwrap(), Offset(9));
    let read = |read: Read| kept(&tail, &read).map(|page| (offsets(&page), page.scanned_to, page.more));
    let all = |after| Read::new(session(), Offset(after));
    assert_eq!(read(all(3)), Some((vec![4, 5, 6, 7, 8, 9], 9, true)));
    assert_eq!(read(all(7)), Some((vec![8, 9], 9, true)));
    assert_eq!(read(all(3).limit(2)), Some((vec![4, 5], 5, true)));
    assert_eq!(read(all(3).classes(Classes::FOLDED)), Some((vec![4, 5, 7, 8], 9, true)));
    let narrow = Read { max_bytes: 150, ..all(3) };
    assert_eq!(read(narrow), Some((vec![4, 5], 5, true)));
    for elsewhere in [2, 9, 10, u64::MAX] {
        assert_eq!(read(all(elsewhere)), None, "{elsewhere}");
    }
}

#[test]
fn a_gap_or_a_late_word_leaves_no_hole() {
    let tail = waited(3);
    tail.publish(session(), Offset(5), fresh(4, 5));
    tail.publish(session(), Offset(8), fresh(7, 8));
    tail.publish(session(), Offset(6), fresh(6, 6));
    assert!(kept(&tail, &Read::new(session(), Offset(4))).is_none());
    assert_eq!(offsets(&kept(&tail, &Read::new(session(), Offset(6))).unwrap()), [7, 8]);
    // What came without its records, such as an item that may be erased, is in the store.
    tail.publish(session(), Offset(9), Vec::new());
    assert!(kept(&tail, &Read::new(session(), Offset(6))).is_none());
    assert_eq!(tail.changed(session(), Offset(8), never).now_or_never().unwrap().unwrap(), Offset(9));
}

#[tokio::test]
async fn one_looks_for_all_who_wait_and_all_are_told() {
    let (tail, looks, head) = (waited(3), Cell::new(0), Cell::new(3));
    let look = || {
        looks.set(looks.get() + 1);
        let seen = head.get();
        async move {
            tokio::task::yield_now().await;
            Ok(Offset(seen))
        }
    };
    let waits = join_all((0..100).map(|_| tail.changed(session(), Offset(3), look)));
    let other_process = async {
        // Nothing new: the doubt is settled, and nobody wakes for it.
        tail.doubt();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(looks.get(), 1);
        head.set(7);
        tail.doubt();
    };
    let (told, ()) = futures::join!(waits, other_process);
    let told: Vec<Offset> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!((told, looks.get()), (vec![Offset(7); 100], 2));
}

#[tokio::test]
async fn a_look_that_is_dropped_or_fails_passes_to_another() {
    let tail = Tail::new();
    let hangs = tail.changed(session(), Offset(3), std::future::pending::<Result<Offset>>);
    let fails = tail.changed(session(), Offset(3), || ready(Err(Error::new(ErrorKind::Busy, "busy"))));
    let looks = tail.changed(session(), Offset(3), || ready(Ok(Offset(4))));
    let (mut hangs, mut fails, mut looks) = (Box::pin(hangs), Box::pin(fails), Box::pin(looks));
    assert!((&mut hangs).now_or_never().is_none());
    assert!((&mut fails).now_or_never().is_none());
    assert!((&mut looks).now_or_never().is_none());
    drop(hangs);
    assert_eq!(fails.await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(looks.await.unwrap(), Offset(4));
}

#[tokio::test]
async fn a_look_that_a_doubt_overtakes_is_taken_again() {
    let (tail, looks) = (Tail::new(), Cell::new(0));
    let look = || {
        looks.set(looks.get() + 1);
        if looks.get() == 1 {
            // Another process commits after the store was asked, before the answer is there.
            tail.doubt();
        }
        ready(Ok(Offset(if looks.get() == 1 { 3 } else { 4 })))
    };
    assert_eq!(tail.changed(session(), Offset(3), look).await.unwrap(), Offset(4));
}

#[tokio::test]
async fn what_another_process_wrote_is_read_once_for_all() {
    let (tail, reads) = (waited(3), Cell::new(0));
    tail.doubt();
    assert_eq!(tail.changed(session(), Offset(3), || ready(Ok(Offset(6)))).await.unwrap(), Offset(6));
    let store = |read: Read| {
        reads.set(reads.get() + 1);
        let entries = fresh(4, 6).into_iter().map(|(record, _)| record).collect();
        assert_eq!((read.after, read.classes), (Offset(3), Classes::ALL));
        async move {
            tokio::task::yield_now().await;
            Ok(Page { entries, scanned_to: 6, more: false })
        }
    };
    let some = Read::new(session(), Offset(3)).classes(Classes::FOLDED);
    let pages = join_all((0..100).map(|_| tail.read(&some, store))).await;
    assert!(pages.into_iter().all(|page| offsets(&page.unwrap()) == [4, 5]));
    assert_eq!(reads.get(), 1);
}

#[tokio::test]
async fn what_was_read_before_an_erasure_is_not_kept() {
    let tail = waited(3);
    tail.publish(session(), Offset(6), Vec::new());
    let reads = Cell::new(0);
    let store = async |_| {
        reads.set(reads.get() + 1);
        let entries = fresh(4, 6).into_iter().map(|(record, _)| record).collect();
        if reads.get() == 1 {
            tail.forget();
        }
        Ok(Page { entries, scanned_to: 6, more: false })
    };
    tail.read(&Read::new(session(), Offset(3)), store).await.unwrap();
    assert_eq!(reads.get(), 2);
    assert!(kept(&tail, &Read::new(session(), Offset(3))).is_none());
}

#[test]
fn a_look_that_sees_a_commit_before_it_is_published_keeps_it_from_nobody() {
    let tail = waited(3);
    tail.doubt();
    let looked = tail.changed(session(), Offset(3), || ready(Ok(Offset(5)))).now_or_never();
    assert_eq!(looked.unwrap().unwrap(), Offset(5));
    tail.publish(session(), Offset(5), fresh(4, 5));
    assert_eq!(offsets(&kept(&tail, &Read::new(session(), Offset(3))).unwrap()), [4, 5]);
}

#[test]
fn a_reader_ahead_of_the_head_asks_the_store() {
    let tail = waited(3);
    let other = || ready(Ok(Offset(5)));
    assert!(tail.changed(session(), Offset(5), other).now_or_never().is_none());
    let shorter = tail.changed(session(), Offset(9), other).now_or_never();
    assert_eq!(shorter.unwrap().unwrap(), Offset(5));
}

#[test]
fn all_who_ask_the_same_share_a_page() {
    let tail = waited(3);
    tail.publish(session(), Offset(9), fresh(4, 9));
    let all = Read::new(session(), Offset(3));
    let page = tail.recent(&all).unwrap();
    assert_eq!((offsets(&page), page.scanned_to), (vec![4, 5, 6, 7, 8, 9], 9));
    tail.publish(session(), Offset(11), fresh(10, 11));
    assert!(Arc::ptr_eq(&page, &tail.recent(&all).unwrap()));
    let some = tail.recent(&all.clone().classes(Classes::FOLDED).limit(3)).unwrap();
    assert_eq!((offsets(&some), some.scanned_to), (vec![4, 5, 7], 7));
    assert_eq!(offsets(&tail.recent(&Read::new(session(), Offset(9))).unwrap()), [10, 11]);
    for elsewhere in [2, 11, u64::MAX] {
        assert_eq!(tail.recent(&Read::new(session(), Offset(elsewhere))), None, "{elsewhere}");
    }
}

#[test]
fn no_page_outlives_what_is_kept_or_is_given_out_in_doubt() {
    let tail = waited(0);
    let read = |after| tail.recent(&Read::new(session(), Offset(after)));
    tail.publish(session(), Offset(10), fresh(1, 10));
    let page = Arc::downgrade(&read(0).unwrap());
    assert!(read(9).is_some() && page.upgrade().is_some());
    tail.publish(session(), Offset(4_100), fresh(11, 4_100));
    assert!(read(0).is_none() && read(9).is_some() && page.upgrade().is_none());
    for after in 100..200 {
        assert!(read(after).is_some());
    }
    let lines = tail.read_lines();
    assert_eq!(lines[&session()].shared_pages(), 8);
    drop(lines);

    tail.doubt();
    assert!(read(9).is_none());
    tail.changed(session(), Offset(9), || ready(Ok(Offset(4_100)))).now_or_never().unwrap().unwrap();
    assert!(read(9).is_some());
    tail.forget();
    tail.changed(session(), Offset(9), || ready(Ok(Offset(4_100)))).now_or_never().unwrap().unwrap();
    assert!(read(9).is_none());
}

#[test]
fn what_may_have_been_erased_is_forgotten() {
    let tail = waited(3);
    tail.publish(session(), Offset(5), fresh(4, 5));
    tail.forget();
    assert!(kept(&tail, &Read::new(session(), Offset(3))).is_none());
    assert_eq!(tail.bytes.load(Ordering::Relaxed), 0);
    let pruned = tail.changed(session(), Offset(5), || ready(Ok(Offset::START))).now_or_never();
    assert_eq!(pruned.unwrap().unwrap(), Offset::START);
}

#[test]
fn memory_is_bounded_by_records_by_bytes_and_in_all() {
    let tail = waited(0);
    tail.publish(session(), Offset(10_000), fresh(1, 10_000));
    let is_kept = |after| kept(&tail, &Read::new(session(), Offset(after))).is_some();
    assert!(!is_kept(10_000 - 4_097) && is_kept(10_000 - 4_096));
    let large = fresh(10_001, 10_010).into_iter().map(|(record, _)| (record, 1 << 20));
    tail.publish(session(), Offset(10_010), large.collect());
    assert!(!is_kept(10_006) && is_kept(10_007));
    assert!(tail.bytes.load(Ordering::Relaxed) <= 4 << 20);
    for number in 0..100_u64 {
        let other = SessionId::derive(&[&number.to_be_bytes()]);
        assert!(tail.changed(other, Offset::START, || ready(Ok(Offset::START))).now_or_never().is_none());
        let large = fresh(1, 3).into_iter().map(|(record, _)| (record, 1 << 20)).collect();
        tail.publish(other, Offset(3), large);
        assert!(tail.bytes.load(Ordering::Relaxed) <= MOST_BYTES + (4 << 20), "{number}");
    }
}

#[test]
fn a_line_that_nobody_waits_on_is_dropped() {
    let tail = waited(0);
    tail.publish(session(), Offset(3), fresh(1, 3));
    let other = SessionId::derive(&[b"other"]);
    // As if the line had been left long ago, and idle ones looked for as long ago.
    let long_ago = Tail { born: tail.born.checked_sub(2 * IDLE).unwrap_or(tail.born), ..tail };
    let nothing = Page { entries: Vec::new(), scanned_to: 3, more: false };
    let read = Read::new(session(), Offset::START);
    let asked = long_ago.read(&read, |_| ready(Ok(nothing.clone()))).now_or_never();
    assert_eq!(asked.unwrap().unwrap(), nothing);
    assert!(long_ago.changed(other, Offset(1), || ready(Ok(Offset(1)))).now_or_never().is_none());
    assert!(!long_ago.is_followed(session()) && long_ago.is_followed(other));
    assert_eq!(long_ago.bytes.load(Ordering::Relaxed), 0);
}
