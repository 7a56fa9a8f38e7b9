//! Gateways that are started, or cannot be.

use crate::{
    openclaw_gateway::{own, setup},
    seat::{Seat, run, within},
    turns::until_sleeping,
};
use party_harness::{ErrorKind, openclaw::GatewaySetup};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use test_support::{FakeModel, KeptFolder, ModelTurn, Scenario, openclaw_models, openclaw_programs};

#[tokio::test]
async fn a_gateway_that_cannot_be_started_says_why() {
    let (node, openclaw) = openclaw_programs();
    let _own = own().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let missing = GatewaySetup::new(&node, "/nowhere", folder.path()).start();
    let error = within(missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("npm install"), "{error}");
    let missing = GatewaySetup::new("/nowhere/node", &openclaw, folder.path()).start();
    assert_eq!(within(missing).await.unwrap_err().kind(), ErrorKind::Missing);
    let wrong = GatewaySetup::new(&node, &openclaw, folder.path()).config(json!({"gateway": {"bind": 7}}));
    let error = within(wrong.start()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert!(error.to_string().contains("did not start"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_in_time_is_ended() {
    let (node, openclaw) = openclaw_programs();
    let _own = own().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let setup = GatewaySetup::new(&node, &openclaw, folder.path()).patience(Duration::from_millis(300));
    let error = within(setup.start()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    within(until_left(folder.path())).await;
}

/// Waits until no process works in a folder.
async fn until_left(folder: &Path) {
    while at_work(folder).next().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes whose folder is this one, or one in it.
fn at_work(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    processes
        .filter(move |process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
}

/// The gateway dies with its host, and pays for no run any more; what that leaves, the next one ends.
#[tokio::test]
async fn a171_a_killed_host_takes_its_gateway_with_it_and_the_next_one_ends_the_rest() {
    let seat = Seat::new();
    let seconds = format!("97{}.5", std::process::id());
    let command = json!({"command": format!("setsid sleep {seconds}")});
    let model = FakeModel::start(
        Scenario::new()
            .turn(ModelTurn::text("Next.").when("cue-2"))
            .turn(ModelTurn::tool_use("exec", command).when("cue-1")),
    )
    .await;
    let _own = own().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let mut host = std::process::Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", "starts::a_host_to_be_killed", "--ignored", "--nocapture"]);
    host.env("BENCH_ROOT", folder.path()).env("BENCH_MODEL", model.base_url());
    let mut host = host.spawn().unwrap();
    within(until_sleeping(&seconds, true)).await;
    // What runs its commands has a session of its own, and may wait for them.
    let is_gateway = |process: PathBuf| {
        fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(b"openclaw-gateway"))
    };
    assert!(at_work(folder.path()).any(is_gateway), "it is known by its title");
    host.kill().unwrap();
    host.wait().unwrap();
    within(async {
        while at_work(folder.path()).any(is_gateway) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let gateway = setup(&model, folder.path()).start().await.unwrap();
    within(until_sleeping(&seconds, false)).await;
    let harness = gateway.harness();
    let session = seat.open(&harness, None).await;
    let end = run(&session, seat.request(2, "cue-2", &[], &[])).await;
    assert_eq!(end.text.as_deref(), Some("Next."));
    gateway.stop().await.unwrap();
    within(until_left(folder.path())).await;
}

#[tokio::test]
#[ignore = "the part of another test that is killed"]
async fn a_host_to_be_killed() {
    let (Some(root), Ok(model)) = (std::env::var_os("BENCH_ROOT"), std::env::var("BENCH_MODEL")) else {
        return;
    };
    let (node, openclaw) = openclaw_programs();
    let setup = GatewaySetup::new(node, openclaw, root).config(openclaw_models(&model));
    let (gateway, seat) = (setup.start().await.unwrap(), Seat::new());
    let harness = gateway.harness();
    let session = seat.open(&harness, None).await;
    run(&session, seat.request(1, "cue-1", &[], &["exec"])).await;
}
