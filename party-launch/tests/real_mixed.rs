//! A forum of agents on Claude Code, Codex, OpenClaw, a model API and in process: each shares by the
//! party's tool, through the door that its runtime has for it.
#![expect(clippy::unwrap_used, reason = "test code")]

use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, BusExt, SqliteBus, Window},
    core::{Event, Offset, SessionId},
    harness::{
        claude_code::ClaudeCode,
        codex::Codex,
        model::ModelApi,
        openclaw::{Gateway, GatewaySetup, OpenClaw},
        scripted::{Script, Scripted, Step},
    },
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use test_support::{
    FakeModel, KeptFolder, ModelTurn, Scenario, claude_binary, claude_env, codex_binary, openclaw_env,
    openclaw_models, openclaw_programs,
};

const QUESTION: &str = "Should we adopt JSONL as our log format?";

/// Each agent whose model is asked: its harness, its model, and what the party's tool is called there.
const AGENTS: [(&str, &str, &str, &str); 4] = [
    ("Ada", "claude", "sonnet", "mcp__party__share"),
    ("Bob", "codex", "gpt-5.5", "party.share"),
    ("Cyd", "openclaw", "fake/m2", "share"),
    ("Dee", "model", "gpt-5.4-mini", "share"),
];

fn called(name: &str) -> String {
    format!("Your name is {name}.")
}

/// Each shares once, and has nothing to add to what the others share. A gateway's models call the tools by
/// names with this before them.
fn scenario(word: &str, prefix: &str) -> Scenario {
    let mut scenario = Scenario::new();
    for (name, harness, _, share) in AGENTS {
        let text = json!({"text": format!("{name} {word}")});
        let share = if harness == "openclaw" { format!("{prefix}{share}") } else { share.to_owned() };
        scenario = scenario.turn(ModelTurn::tool_use(share, text).when(called(name)));
        scenario = scenario.turn(ModelTurn::text("Nothing to add.").when(called(name)).repeat());
    }
    scenario
        .default_turn(ModelTurn::error(400, "invalid_request_error", "nobody is to be asked this"))
        .count_side()
}

struct House {
    root: KeptFolder,
    fake: FakeModel,
    gateway: Gateway,
}

impl House {
    async fn new() -> Self {
        let (root, fake) =
            (KeptFolder::new("party-mixed-").unwrap(), FakeModel::start(Scenario::new()).await);
        let (node, openclaw) = openclaw_programs();
        let folder = root.path().join("gateway");
        std::fs::create_dir(root.path().join("home")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let setup = GatewaySetup::new(node, openclaw, folder).config(openclaw_models(fake.base_url()));
        let gateway = setup.env(openclaw_env()).start().await.unwrap();
        Self { root, fake, gateway }
    }

    fn openclaw(&self) -> OpenClaw {
        self.gateway.harness().keys(self.root.path().join("keys"))
    }

    /// What the agents' models say from now on.
    fn plays(&self, word: &str) {
        self.fake.set(scenario(word, &self.openclaw().tool_prefix().unwrap()));
    }

    async fn bus(&self) -> Arc<SqliteBus> {
        Arc::new(SqliteBus::open(self.root.path().join("party.db")).await.unwrap())
    }

    fn builder(&self, bus: Arc<dyn Bus>) -> PartyBuilder {
        let (root, base) = (self.root.path(), self.fake.base_url());
        let env = env(root, base);
        let provider = json!({
            "name": "fake", "base_url": format!("{base}/v1"), "wire_api": "responses",
            "env_key": "OPENAI_API_KEY",
        });
        let codex = Codex::new(codex_binary()).env(env.clone());
        let opens = Step { share: Some("Eve opens".to_owned()), ..Step::default() };
        let script = Script::default().agent("Eve", [opens, Step::say(0, "Nothing to add.")]);
        Party::builder(bus)
            .harness_as("claude", ClaudeCode::new(claude_binary()).env(env.clone()))
            .harness_as(
                "codex",
                codex.config("model_provider", "fake").config("model_providers.fake", provider),
            )
            .harness_as("openclaw", self.openclaw())
            .harness_as("model", ModelApi::openai().at(format!("{base}/v1")).key("sk-fake"))
            .harness(Scripted::new(script))
            .environment(env)
            .folder(root.join("seats"))
    }
}

fn env(root: &Path, base: &str) -> BTreeMap<String, String> {
    let mut env: BTreeMap<_, _> = claude_env(&root.join("home"), base).into_iter().collect();
    env.insert("OPENAI_API_KEY".to_owned(), "sk-fake".to_owned());
    env
}

/// Who shared what.
async fn feed(bus: &dyn Bus, session: SessionId) -> Vec<String> {
    let opening = bus.read_to_end(session, Offset::START, party_launch::bus::Classes::ALL).await.unwrap();
    let Ok(Event::SessionOpened(opened)) = opening[0].event() else { panic!("{opening:?}") };
    let page = bus.window(Window::last(session, opened.feed, 1000)).await.unwrap();
    page.entries.iter().map(|entry| format!("{}: {}", entry.item.author, entry.item.text())).collect()
}

fn sorted(mut feed: Vec<String>) -> Vec<String> {
    feed.sort();
    feed
}

#[tokio::test]
async fn a003_a050_a080_a175_a_mixed_forum_shares_rests_and_goes_on_with_another_host() {
    let house = House::new().await;
    house.plays("opens");
    let bus = house.bus().await;
    let mut builder = house.builder(bus.clone());
    for (name, harness, model, _) in AGENTS {
        builder = builder.seat(Seat::new(name, "participant").harness(harness).model(model));
    }
    let party =
        builder.seat(Seat::new("Eve", "participant").harness("scripted")).start(QUESTION).await.unwrap();
    let session = party.session();
    party.at_rest().await.unwrap();
    let opens = ["Ada", "Bob", "Cyd", "Dee", "Eve"].map(|name| format!("{name}: {name} opens"));
    let first = feed(bus.as_ref(), session).await;
    assert_eq!(first[0], format!("you: {QUESTION}"));
    assert_eq!(sorted(first[1..].to_vec()), opens);
    party.shutdown().await.unwrap();
    bus.close().await.unwrap();

    house.plays("goes on");
    let bus = house.bus().await;
    let party = house.builder(bus.clone()).resume(session).await.unwrap();
    party.post("And what of CSV?").await.unwrap();
    party.at_rest().await.unwrap();
    let all = feed(bus.as_ref(), session).await;
    assert_eq!(all[..6], first, "what was shared stays shared");
    assert_eq!(all[6], "you: And what of CSV?");
    // Eve's script has no more.
    let on = ["Ada", "Bob", "Cyd", "Dee"].map(|name| format!("{name}: {name} goes on"));
    assert_eq!(sorted(all[7..].to_vec()), on);
    for (name, ..) in AGENTS {
        let requests = house.fake.model_requests();
        let heard = requests
            .iter()
            .map(|request| request["body"].to_string())
            .find(|body| body.contains(&called(name)));
        let heard = heard.unwrap();
        assert!(heard.contains(QUESTION) && heard.contains("And what of CSV?"), "{name} remembers: {heard}");
    }
    party.shutdown().await.unwrap();
    bus.close().await.unwrap();
    house.gateway.stop().await.unwrap();
}
