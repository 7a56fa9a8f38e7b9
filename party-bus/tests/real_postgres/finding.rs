//! Words that the index has only in part.

use super::stage::OwnSchema;
use party_bus::{
    Bus, BusAdmin as _, Search,
    conformance::{Sample, note, say},
};
use party_core::{Author, RecordClass};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_words_that_only_begin_alike_are_no_hits_and_no_pages() {
    let mut stage = OwnSchema::new("long words");
    stage.options = stage.options.searchable();
    let store = stage.store().await;
    let bus: Arc<dyn Bus> = store.clone();
    let mut sample = Sample::opened(&bus).await;
    let begin = "größe".repeat(20);
    let mut ids = Vec::new();
    for end in ["x", "y", "x", "y", ""] {
        let item = say(&Author::System, &format!("Say {begin}{end}!"));
        ids.push(item.id);
        sample.write([note(RecordClass::Report, "said").with_item(item)]).await.unwrap();
    }
    let mut search = Search::new(format!("{begin}x"));
    search.limit = 1;
    for (skip, id, more) in [(0, ids[2], true), (1, ids[0], false)] {
        search.skip = skip;
        let page = store.search(search.clone()).await.unwrap();
        let found: Vec<_> = page.entries.iter().map(|found| found.item).collect();
        assert_eq!((found, page.scanned_to, page.more), (vec![id], skip + 1, more));
        assert!(page.entries[0].excerpt.contains(&begin));
    }
    assert_eq!(store.search(Search::new(begin + "z")).await.unwrap().entries, []);
}
