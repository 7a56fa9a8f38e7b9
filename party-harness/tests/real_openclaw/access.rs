//! What a gateway has by its own settings, and no agent of a party sees.

use crate::{
    openclaw_gateway::{own, setup},
    seat::{Seat, offered, run},
};
use party_harness::core::Outcome;
use serde_json::json;
use std::fs;
use test_support::{FakeModel, KeptFolder, ModelTurn, Scenario, openclaw_models, openclaw_programs};

/// An MCP server over stdin and stdout that writes down each call.
const SERVER: &str = r#"
const fs = require('node:fs'), log = process.argv[2];
require('node:readline').createInterface({input: process.stdin}).on('line', line => {
  const {id, method, params} = JSON.parse(line);
  if (id === undefined) return;
  const result = method === 'initialize'
    ? {protocolVersion: params.protocolVersion, capabilities: {tools: {}}, serverInfo: {name: 'foreign', version: '1'}}
    : method === 'tools/list' ? {tools: [{name: 'leak', description: 'Leaks.', inputSchema: {type: 'object'}}]}
    : {content: [{type: 'text', text: 'leaked'}]};
  if (method === 'tools/call') fs.appendFileSync(log, 'called\n');
  process.stdout.write(JSON.stringify({jsonrpc: '2.0', id, result}) + '\n');
});
"#;

/// The host's tools are there at once also where the gateway's own setting hides tools behind a search.
#[tokio::test]
async fn a168_a180_no_foreign_mcp_tool_is_offered_or_run_and_the_hosts_are_not_deferred() {
    let seat = Seat::new();
    let model = FakeModel::start(Scenario::new()).await;
    let _own = own().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let (script, log) = (folder.path().join("server.js"), folder.path().join("calls"));
    fs::write(&script, SERVER).unwrap();
    let mut config = openclaw_models(model.base_url());
    config["tools"] = json!({"toolSearch": true});
    config["mcp"] =
        json!({"servers": {"foreign": {"command": openclaw_programs().0, "args": [script, log]}}});
    let gateway = setup(&model, folder.path()).config(config).start().await.unwrap();
    let harness = gateway.harness();
    let share = format!("{}share", harness.tool_prefix().unwrap());
    model.extend(
        Scenario::new()
            .turn(seat.calls("cue-2", "foreign__leak", json!({})))
            .turn(seat.turn("cue-2", ModelTurn::text("It leaks.")))
            .turn(seat.calls("cue-1", "foreign__leak", json!({})))
            .turn(seat.calls("cue-1", &share, json!({"text": "x"})))
            .turn(seat.turn("cue-1", ModelTurn::text("Shared."))),
    );
    let session = seat.open(&harness, None).await;
    let end = run(&session, seat.request(1, "cue-1", &["share"], &[])).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Shared.")), "{end:?}");
    let bodies: Vec<_> = model.model_requests().into_iter().map(|one| one["body"].clone()).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| offered(body) == [share.clone()]), "{:?}", offered(&bodies[0]));
    assert!(!log.exists(), "the foreign tool did not run");
    assert_eq!(seat.calls.lock().unwrap().len(), 1, "share works");
    // A turn that names it has it: what was shown above is no accident.
    let end = run(&session, seat.request(2, "cue-2", &[], &["foreign__leak"])).await;
    assert_eq!(end.text.as_deref(), Some("It leaks."), "{end:?}");
    assert!(log.exists());
    gateway.stop().await.unwrap();
}
