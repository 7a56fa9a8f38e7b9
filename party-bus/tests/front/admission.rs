//! The socket's file, and who gets in.

use crate::{Client, Stage, client::trouble};
use party_bus::{
    Bus, ErrorKind, MemoryBus,
    front::{Front, FrontOptions, PeerCredential},
};
use party_core::Author;
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{set_thread_gid, set_thread_uid},
};
use serde_json::json;
use std::{
    fs::{self, Permissions},
    io::{self, BufRead as _, BufReader},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SOMEBODY_ELSE: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode()
}

/// What another user who connects is told first. Only root can become another user.
fn told_another_user(path: PathBuf) -> io::Result<String> {
    let thread = std::thread::spawn(move || {
        set_thread_gid(Gid::from_raw(SOMEBODY_ELSE))?;
        set_thread_uid(Uid::from_raw(SOMEBODY_ELSE))?;
        let mut line = String::new();
        BufReader::new(UnixStream::connect(path)?).read_line(&mut line)?;
        Ok(line)
    });
    thread.join().unwrap()
}

async fn told_another(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(|| told_another_user(path)).await.unwrap()
}

#[tokio::test]
async fn b10_the_file_is_its_owner_s_alone_and_others_are_refused_by_file_and_by_credential() {
    let stage = Stage::new().await;
    let path = stage.path();
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(mode(&path) & 0o777, 0o600);
    let pong = stage.client().await.ask(json!({ "id": 1, "type": "ping" })).await;
    assert_eq!(pong["ok"]["author"], json!({ "type": "human", "name": "ann" }));
    if !geteuid().is_root() {
        return;
    }
    fs::set_permissions(stage.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let error = told_another(&path).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);

    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let told = told_another(&path).await.unwrap();
    let (kind, message) = trouble(&serde_json::from_str::<serde_json::Value>(&told).unwrap()["error"]);
    assert_eq!((kind.as_str(), message.as_str()), ("refused", "user 65534 is not admitted here"));
}

#[tokio::test]
async fn the_host_is_told_the_credential_and_gives_the_name() {
    let seen = Arc::new(Mutex::new(Vec::<PeerCredential>::new()));
    let told = Arc::clone(&seen);
    let stage = Stage::with(FrontOptions::admitting(move |peer| {
        told.lock().unwrap().push(peer);
        Some(Author::human(format!("user {}", peer.uid)))
    }))
    .await;
    let pong = stage.client().await.ask(json!({ "id": 1, "type": "ping" })).await;
    assert_eq!(pong["ok"]["author"]["name"], format!("user {}", geteuid().as_raw()));
    let peer = seen.lock().unwrap()[0];
    assert_eq!((peer.uid, peer.pid), (geteuid().as_raw(), i32::try_from(std::process::id()).ok()));
}

#[tokio::test]
async fn a_server_that_lives_keeps_its_path_and_one_that_is_dead_is_replaced() {
    let mut stage = Stage::new().await;
    let path = stage.path();
    let bind = || Front::bind(Arc::clone(&stage.bus), &path, FrontOptions::owner("bob"));
    let error = bind().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(error.to_string(), format!("another server listens on {}", path.display()));
    let pong = stage.client().await.ask(json!({ "id": 1, "type": "ping" })).await;
    assert_eq!(pong["ok"]["author"]["name"], "ann");

    stage.front.take().unwrap().close().await;
    assert!(!path.exists());
    // A socket that nobody serves any more, as a server leaves it that is killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let front = bind().await.unwrap();
    assert_eq!(mode(&path) & 0o777, 0o600);
    let pong = stage.client().await.ask(json!({ "id": 1, "type": "ping" })).await;
    assert_eq!(pong["ok"]["author"]["name"], "bob");
    drop(front);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_servers_that_find_a_dead_one_s_path_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let rivals = (0..8).map(|_| {
            let (bus, path) = (Arc::clone(&bus), path.clone());
            tokio::spawn(async move { Front::bind(bus, path, FrontOptions::owner("ann")).await })
        });
        let bound = futures::future::join_all(rivals.collect::<Vec<_>>()).await;
        let bound: Vec<_> = bound.into_iter().map(Result::unwrap).collect();
        assert_eq!(bound.iter().filter(|one| one.is_ok()).count(), 1, "{bound:?}");
        let pong = Client::connect(&path).await.ask(json!({ "id": 1, "type": "ping" })).await;
        assert!(pong["ok"].is_object(), "{pong}");
        drop(bound);
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_file_that_is_not_the_front_s_own_any_more_is_left() {
    let mut stage = Stage::new().await;
    fs::remove_file(stage.path()).unwrap();
    fs::write(stage.path(), "somebody's").unwrap();
    stage.front.take().unwrap().close().await;
    assert_eq!(fs::read_to_string(stage.path()).unwrap(), "somebody's");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let stem = folder.path().as_os_str().len() + 1;
    let of_length = |length: usize| folder.path().join("x".repeat(length - stem));
    fs::write(folder.path().join("file"), "").unwrap();
    let cases = [
        (of_length(108), ErrorKind::Invalid),
        (of_length(5_000), ErrorKind::Invalid),
        (folder.path().join("file"), ErrorKind::Invalid),
        (folder.path().to_owned(), ErrorKind::Invalid),
        (folder.path().join("no/sock"), ErrorKind::NotFound),
        (PathBuf::new(), ErrorKind::Io),
    ];
    for (path, kind) in cases {
        let error = Front::bind(Arc::clone(&bus), &path, FrontOptions::owner("ann")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let named = if kind == ErrorKind::NotFound { path.parent().unwrap() } else { &path };
        assert!(error.to_string().contains(&named.display().to_string()), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    Front::bind(bus, of_length(107), FrontOptions::owner("ann")).await.unwrap().close().await;
}

#[tokio::test]
async fn as_many_connections_as_there_may_be_and_then_again_when_one_goes() {
    let mut options = FrontOptions::owner("ann");
    options.connections = 2;
    let stage = Stage::with(options).await;
    let (mut first, mut second) = (stage.client().await, stage.client().await);
    for client in [&mut first, &mut second] {
        client.ask(json!({ "id": 1, "type": "ping" })).await;
    }
    let mut third = stage.client().await;
    let told = trouble(&third.hear().await["error"]);
    assert_eq!((told.0.as_str(), told.1.as_str()), ("limit", "there are 2 connections already"));
    assert_eq!(third.next().await, None);
    drop(first);
    let begun = Instant::now();
    loop {
        let mut client = stage.client().await;
        client.say(r#"{"id":1,"type":"ping"}"#).await;
        if client.hear().await.get("ok").is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "a place is free once a client has gone");
    }
}
