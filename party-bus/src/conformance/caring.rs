//! Cases about what a store's owner asks of any store.

use super::{
    sample::{Sample, fresh, input},
    stage::{Played, Stage, needs},
    writing::refused,
};
use crate::{Bus, Erase, ErrorKind, Prune, Scope, Search};
use party_core::SessionId;
use std::sync::Arc;

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
    sample.release().await;
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

/// A new file, for its owner's eyes, whatever is written meanwhile; never over another one.
pub async fn a_backup_is_a_new_file_of_its_owner(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.backup, "backup", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let session = Sample::opened(&bus).await.session;
    let folder = std::env::temp_dir().join(format!("party-{}", SessionId::derive(&[&fresh()])));
    std::fs::create_dir(&folder).expect("a folder");
    let to = folder.join("copy");
    let writing = async {
        for number in 0..20 {
            bus.append(input(session, &number.to_string())).await.expect("an input");
        }
    };
    let (copied, ()) = futures::join!(admin.backup(&to), writing);
    copied.expect("a new file");
    let copy = std::fs::metadata(&to).expect("the copy");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&copy.permissions()) & 0o777, 0o600);
    refused(admin.backup(&to).await, ErrorKind::Invalid);
    assert_eq!(std::fs::metadata(&to).expect("the copy").len(), copy.len());
    let files = std::fs::read_dir(&folder).expect("the folder").count();
    std::fs::remove_dir_all(&folder).expect("it can be removed");
    assert_eq!(files, 1, "nothing is left beside it");
    Ok(())
}
