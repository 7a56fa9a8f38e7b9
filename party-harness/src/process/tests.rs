//! What a start comes to where it cannot succeed, or nobody waits for it.

use super::*;
use crate::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::Instant,
};

/// A folder with a program in it.
struct Folder {
    root: tempfile::TempDir,
    marker: (String, String),
    env: Environment,
}

impl Folder {
    fn with(text: &str, mode: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let marker = ("PARTY_START_TEST".to_owned(), root.path().display().to_string());
        let env = [marker.clone(), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into_iter().collect();
        let folder = Self { root, marker, env };
        fs::write(folder.program(), text).unwrap();
        fs::set_permissions(folder.program(), fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    fn program(&self) -> PathBuf {
        self.root.path().join("tool")
    }

    async fn start(&self, program: &Path, args: &[String]) -> Result<(Running, Pipes)> {
        let start = Start {
            name: "tool",
            install: "write one",
            program,
            args,
            env: &self.env,
            cwd: self.root.path(),
            marker: &self.marker,
        };
        Running::start(&start, None).await
    }

    async fn refusal(&self, program: &str, args: &[String]) -> Error {
        self.start(Path::new(program), args).await.map(drop).unwrap_err()
    }

    async fn until_nothing_lives(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !tree::living(&[], &self.marker).is_empty() {
            assert!(Instant::now() < end, "something still lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_told_by_kind() {
    let folder = Folder::with("#!/nonexistent/interpreter\n", 0o755);
    let long = vec!["x".repeat(100_000); 100];
    for (program, args, kind) in [
        ("nothing-of-this-name", &[][..], ErrorKind::Missing),
        ("./nothing", &[], ErrorKind::Missing),
        ("./tool", &[], ErrorKind::Missing),
        (".", &[], ErrorKind::Launch),
        ("sh", &long, ErrorKind::Invalid),
    ] {
        let error = folder.refusal(program, args).await;
        assert_eq!(error.kind(), kind, "{program}: {error}");
        let is_told = error.to_string().contains(&format!("`{program}`")) || kind == ErrorKind::Invalid;
        assert!(is_told, "{error}");
    }
    let folder = Folder::with("#!/bin/sh\n", 0o644);
    assert_eq!(folder.refusal("./tool", &[]).await.to_string(), "`./tool` is not executable");
}

#[tokio::test]
async fn a_program_that_is_being_written_is_waited_for_but_not_for_ever() {
    let folder = Folder::with("#!/bin/sh\nexit 7\n", 0o755);
    let writer = File::options().append(true).open(folder.program()).unwrap();
    let error = folder.refusal("./tool", &[]).await;
    assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    let later = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        drop(writer);
    };
    let (started, ()) = tokio::join!(folder.start(Path::new("./tool"), &[]), later);
    let (mut running, _pipes) = started.unwrap();
    assert_eq!(running.wait().await.unwrap().code(), Some(7));
    running.gone();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    let folder = Folder::with("#!/bin/sh\nexec sleep 1000\n", 0o755);
    let program = folder.program();
    let given_up = {
        let start = folder.start(&program, &[]);
        futures::pin_mut!(start);
        futures::poll!(&mut start).is_pending()
    };
    assert!(given_up);
    // The thread takes one after the other: the first has been started by now.
    let other = Folder::with("#!/bin/sh\n", 0o755);
    let (mut running, _pipes) = other.start(&other.program(), &[]).await.unwrap();
    assert!(running.wait().await.unwrap().success());
    running.gone();
    folder.until_nothing_lives().await;
}

#[test]
fn a_panic_on_the_spawning_thread_is_not_its_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let error = spawner::run(|| -> () { std::panic::resume_unwind(Box::new(())) }).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Other);
        assert_eq!(spawner::run(|| 7).await.unwrap(), 7);
    });
}
