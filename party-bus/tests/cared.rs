//! What one handle erases or prunes, another one with followers no longer shows from memory.

use party_bus::{
    Bus, BusAdmin, BusExt as _, Erase, Read, SqliteBus,
    conformance::{Sample, note, say},
};
use party_core::{Author, Offset, RecordClass};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn what_another_handle_erased_leaves_the_memory_of_this_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let open = || async { Arc::new(SqliteBus::open(&path).await.expect("a store opens")) };
    let (here, there) = (open().await, open().await);
    let bus: Arc<dyn Bus> = here.clone();
    let mut sample = Sample::opened(&bus).await;
    let mut follower = Arc::clone(&bus).follow(sample.session, sample.head);
    // It waits, so what comes is kept for it.
    assert!(timeout(Duration::from_millis(50), follower.next()).await.is_err());
    let item = say(&Author::agent("Mary"), "secret");
    sample.write([note(RecordClass::Report, "said").with_item(Arc::clone(&item))]).await.expect("an item");
    assert_eq!(follower.next().await.expect("a record").items, [Arc::clone(&item)]);
    let waits = tokio::spawn(async move { follower.next().await });
    there.erase(Erase { items: vec![item.id], bodies: vec![] }).await.expect("it is there");
    let gone = async {
        loop {
            let page = bus.read(Read::new(sample.session, Offset(1))).await.expect("a page");
            if page.entries[0].items[0].is_erased() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), gone).await.expect("it is forgotten");
    waits.abort();
}
