//! A disk that fails: the batch is refused, the connection is given up, and later batches stand.

use crate::{
    check,
    child::{self, Running, tell},
    random::Random,
    script::{Acknowledged, Script},
    trace,
};
use party_bus::{Bus, ErrorKind, SqliteBus};
use party_core::SessionId;
use std::{path::Path, sync::Arc};

fn session() -> SessionId {
    SessionId::derive(&[b"failing"])
}

/// The process that is given errors. It must get on as soon as they are over.
#[tokio::test]
async fn child_that_meets_errors() {
    let Some(path) = child::store() else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut script = Script::take(&bus, session(), Random::new()).await;
    for _ in 0..30 {
        match script.write().await {
            Ok(written) => tell(&format!("wrote {}", serde_json::to_string(&written).unwrap())),
            Err(error) => {
                tell(&format!("refused {:?} {error}", error.kind()));
                // A commit whose sync failed may stand after all.
                script = Script::fold(&bus, session(), script.token, Random::new()).await;
            }
        }
        check::session(&bus, session()).await;
    }
    if let Err(error) = bus.close().await {
        tell(&format!("refused {:?} {error}", error.kind()));
    }
    tell("closed");
}

/// Runs the process with `fault`; what it was refused with, and whether it could go on to the end.
async fn meet(folder: &Path, fault: &str) -> (Vec<String>, Vec<Acknowledged>) {
    let path = folder.join("store.db");
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let inject = format!("inject={fault}");
    let options = ["-f", "-e", "trace=fsync,fdatasync,pwrite64", "-e", &inject, "-o", "/dev/null"];
    let wrapper: Vec<_> = [trace::strace()].into_iter().chain(options.map(Into::into)).collect();
    let (status, lines) =
        Running::spawn(child::command(&wrapper, "failing::child_that_meets_errors", &path, ""))
            .unwrap()
            .end();
    let others: Vec<_> = lines.iter().filter(|line| !line.starts_with("wrote ")).collect();
    assert!(status.success() && lines.iter().any(|line| line == "closed"), "{fault}: {others:#?}");
    let after = |tag: &'static str| lines.iter().filter_map(move |line| line.strip_prefix(tag));
    let acknowledged: Vec<_> = after("wrote ").map(|text| serde_json::from_str(text).unwrap()).collect();
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    check::known(&bus, &acknowledged).await;
    check::session(&bus, session()).await;
    bus.close().await.unwrap();
    check::integrity(&path);
    (after("refused ").map(str::to_owned).collect(), acknowledged)
}

#[tokio::test]
async fn a_failed_sync_or_write_refuses_its_batch_and_later_ones_stand() {
    // Calls are counted for each thread: the writer's are meant. Of several in a row one is for the log.
    for (fault, kind) in [
        ("fsync,fdatasync:error=EIO:when=4", ErrorKind::Io),
        ("fsync,fdatasync:error=EIO:when=5+6", ErrorKind::Io),
        ("pwrite64:error=EIO:when=60..65", ErrorKind::Io),
        ("pwrite64:error=EIO:when=61+50", ErrorKind::Io),
        ("pwrite64:error=ENOSPC:when=77+40", ErrorKind::Full),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (refused, acknowledged) = meet(folder.path(), fault).await;
        println!("{fault}: {refused:?}, {} acknowledged", acknowledged.len());
        assert!(!refused.is_empty() && acknowledged.len() > 10, "{fault}: {refused:?}");
        assert!(refused.iter().all(|error| error.starts_with(&format!("{kind:?} "))), "{fault}: {refused:?}");
    }
}
