//! Comforts and the faulty bus, over the store in memory.

use futures::StreamExt;
use party_bus::{
    Bus, BusExt as _, Classes, Error, ErrorKind, Fault, FaultyBus, MemoryBus, Watch,
    conformance::{Sample, input, note},
};
use party_core::{Offset, RecordClass, SessionId};
use std::sync::Arc;

fn memory() -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new())
}

#[tokio::test]
async fn read_to_end_goes_over_all_pages() {
    let bus = memory();
    let mut sample = Sample::opened(&bus).await;
    for _ in 0..3 {
        sample.write((0..900).map(|_| note(RecordClass::Report, "many"))).await.unwrap();
    }
    let records = bus.read_to_end(sample.session, Offset(1), Classes::ALL).await.unwrap();
    assert_eq!(records.len(), 2_700);
    assert_eq!(bus.read_to_end(sample.session, sample.head, Classes::ALL).await.unwrap(), []);
}

#[tokio::test]
async fn a_stream_of_records_ends_with_the_error_that_no_retry_heals() {
    let bus = memory();
    let sample = Sample::opened(&bus).await;
    let mut follow = Arc::clone(&bus).follow(sample.session, Offset::START);
    assert!(StreamExt::next(&mut follow).await.unwrap().is_ok());
    bus.close().await.unwrap();
    assert_eq!(StreamExt::next(&mut follow).await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert!(StreamExt::next(&mut follow).await.is_none());
}

#[tokio::test]
async fn a_crash_before_an_append_loses_it_and_one_after_it_only_loses_the_answer() {
    for (fault, written) in [(Fault::crash_before(2), false), (Fault::crash_after(2), true)] {
        let inner = memory();
        let session = Sample::opened(&inner).await.session;
        let faulty: Arc<FaultyBus> = Arc::new(FaultyBus::new(Arc::clone(&inner), fault));
        let bus: Arc<dyn Bus> = Arc::clone(&faulty) as _;
        bus.append(input(session, "first")).await.unwrap();
        assert!(!faulty.crashed());
        let watch = Watch::Session { session, after: Offset(2) };
        let (second, waiting) = futures::join!(bus.append(input(session, "second")), async {
            match bus.changed(watch).await {
                // The wait saw the record that was written just before the crash.
                Ok(_) => bus.changed(Watch::Session { session, after: Offset(3) }).await,
                closed => closed,
            }
        });
        assert_eq!(second.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(waiting.unwrap_err().kind(), ErrorKind::Closed);
        assert!(faulty.crashed());
        assert_eq!(bus.append(input(session, "third")).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(inner.head(session).await.unwrap(), Offset(2 + u64::from(written)));
        assert_eq!((faulty.appends(), faulty.synced_appends()), (2, 2));
    }
}

#[tokio::test]
async fn a_bus_that_is_full_for_a_while_writes_nothing_meanwhile_and_everything_then() {
    let inner = memory();
    let session = Sample::opened(&inner).await.session;
    let faulty = Arc::new(FaultyBus::new(Arc::clone(&inner), Fault::full(2, 2)));
    bus_append(&faulty, session, "first").await.unwrap();
    for _ in 0..2 {
        let error = bus_append(&faulty, session, "second").await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Full, true));
    }
    assert_eq!(inner.head(session).await.unwrap(), Offset(2));
    bus_append(&faulty, session, "second").await.unwrap();
    assert_eq!((inner.head(session).await.unwrap(), faulty.crashed()), (Offset(3), false));
}

async fn bus_append(bus: &Arc<FaultyBus>, session: SessionId, text: &str) -> Result<(), Error> {
    bus.append(input(session, text)).await.map(drop)
}

#[tokio::test]
async fn a_bus_without_fault_only_counts() {
    let faulty = Arc::new(FaultyBus::new(memory(), Fault::none()));
    let bus: Arc<dyn Bus> = Arc::clone(&faulty) as _;
    let sample = Sample::opened(&bus).await;
    bus.append(sample.batch([note(RecordClass::Trace, "thinking")]).buffered()).await.unwrap();
    assert_eq!((faulty.appends(), faulty.synced_appends(), faulty.crashed()), (2, 1, false));
}
