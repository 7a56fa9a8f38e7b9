//! Gateways that are started, or cannot be.

use crate::{openclaw_gateway::alone, seat::within};
use party_harness::{ErrorKind, openclaw::GatewaySetup};
use serde_json::json;
use std::time::Duration;
use test_support::{KeptFolder, openclaw_programs};

#[tokio::test]
async fn a_gateway_that_cannot_be_started_says_why() {
    let (node, openclaw) = openclaw_programs();
    let _alone = alone().await;
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
    let _alone = alone().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let setup = GatewaySetup::new(&node, &openclaw, folder.path()).patience(Duration::from_millis(300));
    let error = within(setup.start()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    let is_at_work = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let cwds = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
        cwds.into_iter().any(|cwd| cwd.starts_with(folder.path()))
    };
    within(async {
        while is_at_work() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
