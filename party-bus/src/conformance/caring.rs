//! Cases about what a store's owner does: verify, erase, prune, search.

use super::{
    sample::{Sample, delivery, fresh, input, note, say},
    stage::{Played, Stage, needs},
    writing::refused,
};
use crate::{
    Bus, BusExt as _, Classes, Erase, Erased, ErrorKind, LeaseOp, Owner, PRUNED, Prune, Pruned, Read, Scope,
    Search, SessionQuery, Snapshot, ThreadQuery, Watch, Window,
};
use party_core::{Author, ContentBlock, Item, ItemId, Offset, RecordClass, SessionId};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

async fn release(sample: &Sample) {
    let release = LeaseOp::Release { session: sample.session, fencing_token: sample.token };
    sample.bus.lease(release).await.expect("an answer").expect("it is held");
}

async fn acquire(sample: &mut Sample) {
    let (session, owner, term) = (sample.session, Owner::this_process(), Duration::from_secs(60));
    let lease = sample.bus.lease(LeaseOp::Acquire { session, owner, term }).await.expect("an answer");
    sample.token = lease.expect("it is free").fencing_token;
}

fn body(text: &str) -> Box<RawValue> {
    RawValue::from_string(serde_json::json!({ "text": text }).to_string()).expect("JSON")
}

/// Of one session, of all, and of none.
pub async fn a_sound_store_verifies(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut records = 0;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let mut sample = Sample::opened(&bus).await;
        let feed = sample.thread(["a", "b", "c"]).await;
        sample.branch(feed, 2).await;
        sample.compact(feed, 1, 2, "a-b").await.expect("a range");
        records += sample.head.0;
        sessions.push(sample);
    }
    let report = admin.verify(Scope::Store).await.expect("it can be read");
    assert_eq!((report.problems, report.sessions, report.records), (vec![], 3, records));
    let report = admin.verify(Scope::Session(sessions[0].session)).await.expect("it can be read");
    assert_eq!((report.problems, report.sessions, report.records), (vec![], 1, sessions[0].head.0));
    let nowhere = Scope::Session(SessionId::derive(&[b"nowhere"]));
    let report = admin.verify(nowhere).await.expect("it can be read");
    assert_eq!((report.problems, report.records), (vec![], 0));
    Ok(())
}

/// What a store does not declare it refuses; it does not do half of it.
pub async fn what_is_not_declared_is_unsupported(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    let bus: Arc<dyn Bus> = admin.clone();
    let sample = Sample::opened(&bus).await;
    release(&sample).await;
    let can = bus.info().capabilities;
    let prune = Prune::Trace { session: sample.session, up_to: sample.head };
    let nowhere = std::env::temp_dir().join(format!("party-{}.backup", SessionId::derive(&[&fresh()])));
    for (declared, refused) in [
        (can.prune, admin.prune(prune).await.err()),
        (can.erase, admin.erase(Erase::default()).await.err()),
        (can.search, admin.search(Search::new("opened")).await.err()),
        (can.backup, if can.backup { None } else { admin.backup(&nowhere).await.err() }),
    ] {
        let kind = refused.map(|error| error.kind());
        assert_eq!(kind, (!declared).then_some(ErrorKind::Unsupported));
    }
    Ok(())
}

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
    let read = serde_json::to_string(&*follow.next().await.expect("a record")).expect("JSON");
    assert!(!read.contains("whisper"), "{read}");
    Ok(())
}

/// Bodies of trace go, places stay.
pub async fn pruned_trace_leaves_no_holes(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let classes = [RecordClass::Trace, RecordClass::Report, RecordClass::Trace, RecordClass::Trace];
    sample.write(classes.map(|class| note(class, "long"))).await.expect("records");
    let prune = |up_to| Prune::Trace { session: sample.session, up_to: Offset(up_to) };
    refused(admin.prune(prune(4)).await, ErrorKind::Conflict);
    release(&sample).await;
    assert_eq!(admin.prune(prune(4)).await.expect("nobody drives it"), Pruned { records: 2, items: 0 });
    assert_eq!(admin.prune(prune(4)).await.expect("nothing is left"), Pruned::default());
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.expect("the log");
    let found: Vec<_> = records.iter().map(|record| (record.offset.0, record.kind.as_str())).collect();
    assert_eq!(found, [(1, "noted"), (2, PRUNED), (3, "noted"), (4, PRUNED), (5, "noted")]);
    let bodies: Vec<_> = records.iter().map(|record| record.body.get()).collect();
    let (opened, long) = (body("opened"), body("long"));
    assert_eq!(bodies, [opened.get(), "{}", long.get(), "{}", long.get()]);
    sample.stands().await;
    Ok(())
}

/// With its threads, names and retries; items that another session refers to stay.
pub async fn a_pruned_session_is_gone_and_its_id_is_free(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let (mut gone, mut stays) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let (theirs, own) = (gone.thread(["only here"]).await, stays.open_threads(1).await);
    let shared = gone.say(&[theirs], "shared").await;
    stays.write([delivery(&shared, &own)]).await.expect("one item in two sessions");
    let only = bus.window(Window::last(gone.session, theirs, 9)).await.expect("a window").entries;
    let only = only[0].item.id;
    let posted = input(gone.session, "posted");
    gone.head = bus.append(posted.clone()).await.expect("an input").last;

    let prune = Prune::Sessions(vec![stays.session, gone.session]);
    refused(admin.prune(prune).await, ErrorKind::Conflict);
    release(&gone).await;
    let pruned = admin.prune(Prune::Sessions(vec![gone.session])).await.expect("nobody drives it");
    assert_eq!(pruned, Pruned { records: gone.head.0, items: 1 });

    refused(bus.items(&[only]).await, ErrorKind::NotFound);
    assert_eq!(bus.items(&[shared.id]).await.expect("it stays"), [shared]);
    let query = SessionQuery::one(gone.session);
    assert_eq!(bus.sessions(query).await.expect("a list").entries, []);
    assert_eq!(bus.threads(ThreadQuery::all(gone.session)).await.expect("a list").entries, []);
    refused(bus.window(Window::last(gone.session, theirs, 9)).await, ErrorKind::NotFound);
    refused(bus.append(posted).await, ErrorKind::NotFound);
    stays.stands().await;

    let mut again = Sample { head: Offset::START, ..gone };
    acquire(&mut again).await;
    again.write([note(RecordClass::Decision, "anew")]).await.expect("its id is free");
    assert_eq!(again.head, Offset(1));
    again.stands().await;
    Ok(())
}

/// Whoever followed it or drove it learns that it is another one now.
pub async fn a_pruned_session_is_not_taken_for_the_next_of_its_name(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut old = Sample::opened(&bus).await;
    old.write([note(RecordClass::Report, "more")]).await.expect("a report");
    let (session, fencing_token) = (old.session, old.token);
    let expire = LeaseOp::Renew { session, fencing_token, term: Duration::ZERO };
    bus.lease(expire).await.expect("an answer").expect("it is held");
    admin.prune(Prune::Sessions(vec![session])).await.expect("nobody drives it");
    let watch = Watch::Session { session, after: old.head };
    bus.changed(watch).await.expect("such a reader is told at once");
    refused(bus.read(Read::new(session, old.head)).await, ErrorKind::Rewound);

    let mut new = Sample { bus: Arc::clone(&bus), session, token: 0, head: Offset::START };
    acquire(&mut new).await;
    assert!(new.token > old.token, "tokens never go back");
    new.write([note(RecordClass::Decision, "anew")]).await.expect("its id is free");
    old.head = new.head;
    refused(old.write([note(RecordClass::Report, "late")]).await, ErrorKind::Fenced);
    Ok(())
}

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
    release(&pruned).await;
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
