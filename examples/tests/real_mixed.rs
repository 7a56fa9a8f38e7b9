//! A council of personas on Claude Code, Codex, OpenClaw, a model API and in process, and a judge, as a
//! user runs it: killed while all of them think, and resumed.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    Place, said, stderr,
    voices::{QUESTION, asked, assert_in_order, called, ended, living, opinion, run, speaks},
};
use party_launch::harness::openclaw::{Gateway, GatewaySetup};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};
use test_support::{
    FakeModel, Gate, KeptFolder, ModelTurn, Scenario, claude_binary, claude_env, codex_binary, openclaw_env,
    openclaw_models, openclaw_programs,
};

/// Each persona of the council, and where it lives, by its file.
const PERSONAS: [(&str, &str); 5] = [
    ("Mary", "harness: claude\nmodel: sonnet"),
    ("John", "harness: codex\nmodel: gpt-5.5"),
    ("Winston", "harness: openclaw\nmodel: fake/m2"),
    ("James", "harness: model\nmodel: gpt-5.4-mini"),
    ("Anna", "harness: scripted"),
];

/// What the model of each is asked for: none of Anna's is.
const MODELS: [(&str, &str); 5] = [
    ("Mary", "claude-sonnet"),
    ("John", "gpt-5.5"),
    ("Winston", "m2"),
    ("James", "gpt-5.4-mini"),
    ("Maat", "gpt-6"),
];

/// All that are asked, but Anna, wait in the second round where there is a gate.
fn scenario(slow: Option<&Gate>) -> Scenario {
    let mut scenario = Scenario::new().turn(ModelTurn::text("Settled.").when(called("Maat"))).count_side();
    for (name, _) in &PERSONAS[..4] {
        let second = speaks(name, 2).with(|turn| turn.gate = slow.cloned());
        scenario = scenario.turn(second).turn(speaks(name, 1));
    }
    scenario.default_turn(ModelTurn::error(400, "invalid_request_error", "nobody is to be asked this"))
}

struct House {
    place: Place,
    fake: FakeModel,
    gateway: Gateway,
    _gateway_folder: KeptFolder,
}

impl House {
    async fn new(scenario: Scenario) -> Self {
        let (place, fake) = (Place::new(), FakeModel::start(scenario).await);
        let (node, openclaw) = openclaw_programs();
        let folder = KeptFolder::new("party-mixed-").unwrap();
        let setup = GatewaySetup::new(node, openclaw, folder.path()).config(openclaw_models(fake.base_url()));
        let gateway = setup.env(openclaw_env()).start().await.unwrap();
        fs::write(place.path("gateway.token"), gateway.token()).unwrap();
        fs::create_dir(place.path("personas")).unwrap();
        let judge = ("Maat", "harness: model\nmodel: gpt-6-luna\nrole: judge");
        for (name, front) in PERSONAS.into_iter().chain([judge]) {
            let text = format!("---\nname: {name}\n{front}\n---\n\n## Soul\n\nYou think for yourself.\n");
            fs::write(place.path("personas").join(format!("{}.md", name.to_lowercase())), text).unwrap();
        }
        let words = "agents:\n  Anna:\n    - say: Anna thinks so in round 1.\n    - say: Anna thinks so in round 2.\n";
        fs::write(place.path("script.yaml"), words).unwrap();
        Self { place, fake, gateway, _gateway_folder: folder }
    }

    fn council(&self, args: &[&str]) -> Command {
        let mut command = self.place.council(args);
        let base = self.fake.base_url();
        let mut env = claude_env(&self.place.path("."), base);
        let passed = [("CLAUDE_CODE_MAX_RETRIES", "1"), ("OPENAI_API_KEY", "sk-fake")];
        env.extend(passed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
        command.arg("--pass-env").arg(names.join(","));
        command.arg("--claude-bin").arg(claude_binary()).arg("--codex-bin").arg(codex_binary());
        let provider = json!({
            "name": "fake", "base_url": format!("{base}/v1"), "wire_api": "responses",
            "env_key": "OPENAI_API_KEY", "request_max_retries": 0, "stream_max_retries": 0,
        });
        command.arg("--codex-config").arg("model_provider=fake");
        command.arg("--codex-config").arg(format!("model_providers.fake={provider}"));
        command.args(["--openclaw-url", self.gateway.url(), "--openclaw-token-file", "gateway.token"]);
        command.args(["--model-url", &format!("{base}/v1"), "--model-key-env", "MODEL_KEY"]);
        command.args(["--allow-unknown-prices", "--script", "script.yaml"]);
        command.env("MODEL_KEY", "sk-other").envs(env);
        command
    }

    /// The models that a persona's requests named.
    fn models(&self, name: &str) -> BTreeSet<String> {
        let requests = self.fake.model_requests();
        let mine = requests.iter().filter(|request| request["body"].to_string().contains(&called(name)));
        mine.map(|request| request["body"]["model"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test]
async fn a050_a080_a175_a_mixed_council_killed_while_all_think_and_resumed() {
    let slow = Gate::new();
    let house = House::new(scenario(Some(&slow))).await;
    let order = PERSONAS.map(|(name, _)| name).join(",");
    let started = [QUESTION, "--rounds", "2", "--persona-dir", "personas", "--personas", &order];
    let mut command = house.council(&started);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Two rounds of four.
    house.fake.wait_for_model_requests(8).await;
    for _ in 0..4 {
        slow.arrived().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let session = house.place.sessions().remove(0);
    let finished = ended(&house.place, &session);
    assert!((0..5).all(|seat| finished.contains(&(seat, 1))), "{finished:?}");
    assert!((0..4).all(|seat| !finished.contains(&(seat, 2))), "{finished:?}");
    for (name, model) in &MODELS[..4] {
        let models = house.models(name);
        assert!(models.iter().all(|asked| asked.contains(model)), "{name}: {models:?}");
        assert_eq!(asked(&house.fake, name), 2, "{name}");
    }

    house.fake.set(scenario(None));
    slow.open();
    let resumed = run(house.council(&["--resume", &session])).await;
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let shown = String::from_utf8(resumed.stdout.clone()).unwrap();
    let mut expected = vec![QUESTION.to_owned()];
    expected.extend([1, 2].iter().flat_map(|round| PERSONAS.map(|(name, _)| opinion(name, *round))));
    expected.push("Settled.".into());
    assert_in_order(&shown, &expected);
    assert!(stderr(&resumed).contains("ended: finished"), "{}", said(&resumed));
    assert_eq!(asked(&house.fake, "Maat"), 1);
    assert!(house.models("Maat").iter().all(|model| model == "gpt-6-luna"));
    // The gateway went on without the council, and its answer counts.
    assert_eq!(asked(&house.fake, "Winston"), 0);
    assert!((0..6).all(|seat| ended(&house.place, &session).iter().any(|(ended, _)| *ended == seat)));
    assert_eq!(living(&house.place), BTreeSet::new());
    house.gateway.stop().await.unwrap();
}
