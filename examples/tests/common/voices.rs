//! What the tests of councils on real runtimes share: what the fake model says, and what came of it.

use super::Place;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::{Command, Output},
};
use test_support::{FakeModel, ModelTurn};
use tokio::task::spawn_blocking;

pub(crate) const QUESTION: &str = "Should we adopt JSONL as our log format?";

/// By this a persona's requests are known.
pub(crate) fn called(name: &str) -> String {
    format!("Your name is {name}.")
}

pub(crate) fn opinion(name: &str, round: u32) -> String {
    format!("{name} thinks so in round {round}.")
}

pub(crate) fn speaks(name: &str, round: u32) -> ModelTurn {
    ModelTurn::text(opinion(name, round)).when(called(name)).when(format!("Round {round} of 2"))
}

pub(crate) async fn run(mut command: Command) -> Output {
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// How often a persona's model was asked.
pub(crate) fn asked(fake: &FakeModel, name: &str) -> usize {
    let requests = fake.model_requests();
    requests.iter().filter(|request| request["body"].to_string().contains(&called(name))).count()
}

/// The turns that have ended: seat and round.
pub(crate) fn ended(place: &Place, session: &str) -> BTreeSet<(u64, u64)> {
    let records = place.records(session);
    let of_turn = |offset: &Value| {
        let started = records.iter().find(|record| record["offset"] == *offset).unwrap();
        (started["body"]["seat"].as_u64().unwrap(), started["body"]["round"].as_u64().unwrap())
    };
    let ends = records.iter().filter(|record| record["kind"] == "turnEnded");
    ends.map(|record| of_turn(&record["body"]["turn"])).collect()
}

/// The processes whose home is this place.
pub(crate) fn living(place: &Place) -> BTreeSet<i32> {
    let home = format!("HOME={}", place.path(".").display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_here = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    };
    pids.filter(is_here).collect()
}

/// Asserts that these texts stand in it, in this order, each once.
pub(crate) fn assert_in_order(shown: &str, expected: &[String]) {
    let found = |text: &String| shown.find(text).unwrap_or_else(|| panic!("`{text}` is not in:\n{shown}"));
    let order: Vec<usize> = expected.iter().map(found).collect();
    assert!(order.is_sorted(), "{shown}");
    for text in expected {
        assert_eq!(shown.matches(text.as_str()).count(), 1, "{text}: {shown}");
    }
}
