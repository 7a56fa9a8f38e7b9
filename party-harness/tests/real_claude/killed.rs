//! A host that is killed takes its runtimes with it.

use crate::{
    claude::{Bench, end_of},
    stage::stage,
};
use serde_json::json;
use std::{env, os::unix::fs::symlink, process::Command};
use test_support::{ClaudeVersion, ModelTurn, Scenario, claude_env};

test_support::on_each_claude!(a171_a_killed_host_takes_a_runtime_in_the_middle_of_its_tool_with_it,);

async fn a171_a_killed_host_takes_a_runtime_in_the_middle_of_its_tool_with_it(version: ClaudeVersion) {
    let command = json!({"command": "sleep 1000 & echo $$ >\"$HOME/shell\"; sleep 1000"});
    let scenario = Scenario::new().turn(ModelTurn::tool_use("Bash", command).when("begin"));
    let (bench, fake) = stage(version, scenario).await;
    symlink(version.binary(), bench.path().join("claude")).unwrap();
    let mut host = Command::new(env::current_exe().unwrap());
    host.args(["--exact", "killed::a_host_to_be_killed", "--ignored", "--nocapture"]);
    host.env("BENCH_ROOT", bench.path()).env("BENCH_MODEL", fake.base_url());
    let mut host = host.spawn().unwrap();
    // The CLI, its shell, and two that sleep.
    bench.until("the tool runs", || bench.home().join("shell").exists() && bench.alive() >= 4).await;
    host.kill().unwrap();
    host.wait().unwrap();
    if version == ClaudeVersion::Current {
        return bench.until("nothing of the tree lives", || bench.alive() == 0).await;
    }
    // The older CLI leaves its shell behind, and the next host ends that.
    bench.until("the CLI is gone", || bench.alive() == 3).await;
    drop(bench.open(None).await);
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
#[ignore = "the part of another test that is killed"]
async fn a_host_to_be_killed() {
    let (Some(root), Ok(model)) = (env::var_os("BENCH_ROOT"), env::var("BENCH_MODEL")) else { return };
    let bench = Bench::at(root.into());
    let env = claude_env(&bench.home(), &model);
    let bench = bench.env(env);
    let mut request = bench.request(1, 1, "begin", "begin");
    request.own_tools = vec!["Bash".to_owned()];
    end_of(bench.open(None).await.turn(request).await.unwrap()).await;
}
