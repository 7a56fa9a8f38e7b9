//! A server of Codex whose model is a fake, and what that was told.

use crate::codex::{Bench, Tools};
use party_harness::{RuntimeSession, codex::Codex};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use test_support::{FakeModel, Scenario, codex_binary};

pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) fake: FakeModel,
    pub(crate) tools: Arc<Tools>,
}

impl Stage {
    pub(crate) async fn new(scenario: Scenario) -> Self {
        Self { bench: Bench::new(), fake: FakeModel::start(scenario).await, tools: Tools::new() }
    }

    /// A harness on the fake model.
    pub(crate) fn codex(&self) -> Codex {
        self.on(Codex::new(codex_binary()))
    }

    pub(crate) fn on(&self, codex: Codex) -> Codex {
        on(&self.bench, self.fake.base_url(), codex)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.bench.folder("codex-home")
    }

    pub(crate) async fn open(&self, codex: &Codex) -> Arc<dyn RuntimeSession> {
        self.bench.open(codex, &self.tools).await
    }

    /// The processes of the seat, and those of the server.
    pub(crate) fn of_seat(&self) -> Vec<i32> {
        pids("PARTY_CODEX_SEAT", &self.bench.folder("seat-1").display().to_string())
    }

    pub(crate) fn of_server(&self) -> Vec<i32> {
        let all = pids("PARTY_CODEX_HOME", &self.home().display().to_string());
        let is_server = |pid: &i32| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.contains("app-server") && !command.contains("--help")
        };
        all.into_iter().filter(is_server).collect()
    }
}

/// The harness with the fake model at this address, and the bench's folders.
pub(crate) fn on(bench: &Bench, model: &str, codex: Codex) -> Codex {
    let provider = json!({"name": "fake", "base_url": format!("{model}/v1"), "wire_api": "responses",
        "env_key": "OPENAI_API_KEY", "request_max_retries": 1, "stream_max_retries": 1});
    codex
        .env(bench.env())
        .home(bench.folder("codex-home"))
        .model("fake-1")
        .config("model_provider", "fake")
        .config("model_providers.fake", provider)
        .stop_patience(Duration::from_secs(5))
}

/// The processes that live whose environment has this variable.
pub(crate) fn pids(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

/// Kills a process; one that helped another for a moment may be gone.
pub(crate) fn kill(pid: i32) {
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
}

/// The tools that a request offers, with their namespaces, wherever in it they stand.
pub(crate) fn offered(request: &Value) -> Vec<String> {
    let body = &request["body"];
    let mut names = Vec::new();
    let more =
        body["input"].as_array().into_iter().flatten().filter(|item| item["type"] == "additional_tools");
    for tools in std::iter::once(&body["tools"]).chain(more.map(|item| &item["tools"])) {
        tools.as_array().into_iter().flatten().for_each(|tool| name(tool, "", &mut names));
    }
    names.sort();
    names
}

fn name(tool: &Value, space: &str, names: &mut Vec<String>) {
    let own = tool["name"].as_str().or(tool["type"].as_str()).unwrap_or_default();
    match tool["tools"].as_array() {
        Some(tools) => tools.iter().for_each(|tool| name(tool, &format!("{space}{own}."), names)),
        None => names.push(format!("{space}{own}")),
    }
}

/// What the user and the tools said to the model, oldest first.
pub(crate) fn said(request: &Value) -> Vec<String> {
    let items = request["body"]["input"].as_array().unwrap();
    let said = items.iter().filter_map(|item| match item["type"].as_str() {
        Some("function_call_output") => Some(texts(&item["output"])),
        Some("message") if item["role"] == "user" => Some(texts(&item["content"])),
        _ => None,
    });
    said.filter(|text| !text.starts_with("<environment_context>")).collect()
}

/// What the model was told beside that.
pub(crate) fn system(request: &Value) -> String {
    let items = request["body"]["input"].as_array().unwrap();
    let developers = items.iter().filter(|item| item["role"] == "developer");
    let mut system: Vec<String> = developers.map(|item| texts(&item["content"])).collect();
    system.extend(request["body"]["instructions"].as_str().map(str::to_owned));
    system.join("\n")
}

fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect(),
    }
}
