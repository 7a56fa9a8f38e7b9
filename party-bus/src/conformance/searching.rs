//! Cases about finding messages by their words.

use super::{
    sample::{Sample, note, say},
    stage::{Played, Stage, needs},
    writing::refused,
};
use crate::{Bus, Erase, ErrorKind, Prune, Search, Window};
use party_core::{Author, ContentBlock, Item, RecordClass};
use std::sync::Arc;

/// Words in any case and order, newest first, page by page.
pub async fn messages_are_found_by_their_words(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.search, "search", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let (mut sample, mut other) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let feed = sample.open_threads(1).await;
    let old = sample.say(&feed, "The quick brown fox jumps.").await;
    let old_at = sample.head;
    let middle = sample.say(&feed, "A fox, quick and (brown)!").await;
    let elsewhere = other.thread(["Quick: the BROWN fox again"]).await;
    let newest = bus.window(Window::last(other.session, elsewhere, 1)).await.expect("a window").entries;
    sample.say(&feed, "A quickly browned foxglove.").await;
    let found = async |search: Search| {
        let page = admin.search(search).await.expect("words");
        (page.entries.iter().map(|found| found.item).collect::<Vec<_>>(), page.scanned_to, page.more)
    };
    let all = vec![newest[0].item.id, middle.id, old.id];
    assert_eq!(found(Search::new("fox BROWN quick")).await, (all, 3, false));
    let here = Search::new("brown fox").in_session(sample.session);
    assert_eq!(found(here).await, (vec![middle.id, old.id], 2, false));
    let mut second = Search::new("fox quick");
    (second.skip, second.limit) = (1, 1);
    assert_eq!(found(second).await, (vec![middle.id], 2, true));
    assert_eq!(found(Search::new("fox wolf")).await, (vec![], 0, false));
    let page = admin.search(Search::new("jumps")).await.expect("a word").entries;
    assert_eq!((page[0].session, page[0].offset), (sample.session, old_at));
    for empty in ["", "  ", "!?\"*"] {
        refused(admin.search(Search::new(empty)).await, ErrorKind::Invalid);
    }
    for odd in ["fox\"", "fox OR", "fox*", "NEAR(fox", "-fox", "col:fox", "fox' --"] {
        let odd = admin.search(Search::new(odd)).await;
        assert!(odd.is_ok(), "a text is words, whatever it looks like: {odd:?}");
    }
    Ok(())
}

/// A piece of a long text around what was found; nothing that nobody said.
pub async fn what_is_found_is_a_message_and_shown_in_part(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.search, "search", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let long = format!("{} needle {}", "größer ".repeat(300), "hay ".repeat(300));
    let message = say(&Author::agent("Mary"), &long);
    let mut silent: Item = (*say(&Author::agent("Mary"), "")).clone();
    silent.content = hidden("needle");
    let record = note(RecordClass::Report, "needle").with_item(Arc::clone(&message)).with_item(silent);
    sample.write([record]).await.expect("a report");
    let found = admin.search(Search::new("Needle")).await.expect("a word").entries;
    assert_eq!(found.iter().map(|found| found.item).collect::<Vec<_>>(), [message.id]);
    assert!(found[0].excerpt.contains("needle"), "{}", found[0].excerpt);
    assert!(found[0].excerpt.chars().count() <= 200);
    assert_eq!(admin.search(Search::new("größer")).await.expect("a word").entries.len(), 1);
    Ok(())
}

/// What a model thought, and what its tools were asked and answered.
fn hidden(text: &str) -> Vec<ContentBlock> {
    let blocks = serde_json::json!([
        { "type": "thinking", "text": text },
        { "type": "toolUse", "id": "1", "name": text, "input": { "text": text } },
        { "type": "toolResult", "toolUseId": "1", "text": text },
    ]);
    serde_json::from_value(blocks).expect("blocks")
}

/// Neither what was erased nor what was pruned.
pub async fn what_is_gone_is_not_found(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.search && (can.erase || can.prune), "search, and erase or prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let (mut erased, mut pruned) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let (one, two) = (erased.open_threads(1).await, pruned.open_threads(1).await);
    let secret = erased.say(&one, "a secret word").await;
    pruned.say(&two, "another secret word").await;
    pruned.release().await;
    let can = bus.info().capabilities;
    if can.erase {
        admin.erase(Erase { items: vec![secret.id], bodies: vec![] }).await.expect("it is there");
    }
    if can.prune {
        admin.prune(Prune::Sessions(vec![pruned.session])).await.expect("nobody drives it");
    }
    let left = usize::from(!can.erase) + usize::from(!can.prune);
    assert_eq!(admin.search(Search::new("secret")).await.expect("a word").entries.len(), left);
    Ok(())
}
