//! What runs the personas: their runtimes, by what the user said of each.

use crate::{
    args::Args,
    runtimes::{RuntimeOptions, secret},
    script::script,
    values::{ClaudeMode, ModelApiKind, Runtime},
};
use party_core::{SeatSpec, SessionId};
use party_examples::BadInput;
use party_launch::{
    ErrorKind, Party, PartyBuilder, base_environment,
    bus::Bus,
    harness::{
        Harness,
        claude_code::ClaudeCode,
        codex::Codex,
        model::ModelApi,
        openclaw::OpenClaw,
        scripted::{Script, Scripted},
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long a gateway may be out of reach.
const CONNECT: Duration = Duration::from_secs(10);

/// The runtimes of a council, and what agents may see of the user's environment.
pub(crate) struct Hosting {
    harnesses: BTreeMap<Runtime, Arc<dyn Harness>>,
    environment: BTreeMap<String, String>,
    allows_unknown_prices: bool,
    /// Why a runtime is not among them.
    lacks: Option<BadInput>,
}

impl Hosting {
    /// What runs these; nothing is started yet.
    pub(crate) fn new(
        args: &Args,
        store: &Path,
        needed: &BTreeSet<Runtime>,
        script: &Script,
    ) -> Result<Self, BadInput> {
        let mut hosting = Self::with_all_that_can(args, store, needed, script)?;
        hosting.lacks.take().map_or(Ok(hosting), Err)
    }

    /// What runs the seats of a session that is there. Where it is over, none of them is needed.
    pub(crate) fn of_session(args: &Args, store: &Path, seats: &[SeatSpec]) -> Result<Self, BadInput> {
        let runtime = |seat: &SeatSpec| Runtime::parse("--resume", &seat.harness);
        let needed = seats.iter().map(runtime).collect::<Result<_, _>>()?;
        let script = script(args, seats.iter().map(|seat| seat.name.as_str()))?;
        Self::with_all_that_can(args, store, &needed, &script)
    }

    fn with_all_that_can(
        args: &Args,
        store: &Path,
        needed: &BTreeSet<Runtime>,
        script: &Script,
    ) -> Result<Self, BadInput> {
        let environment = environment(&args.pass_env)?;
        let (mut harnesses, mut lacks) = (BTreeMap::new(), None);
        for runtime in needed {
            match harness(*runtime, &args.runtimes, &environment, store, script) {
                Ok(harness) => drop(harnesses.insert(*runtime, harness)),
                Err(why) => lacks = lacks.or(Some(why)),
            }
        }
        let allows_unknown_prices = args.runtimes.allow_unknown_prices;
        Ok(Self { harnesses, environment, allows_unknown_prices, lacks })
    }

    /// Says what is missing while nothing is written.
    pub(crate) async fn probe(&self) -> Result<(), BadInput> {
        for (runtime, harness) in &self.harnesses {
            harness.probe().await.map_err(|error| named(&format!("--harness {}", runtime.name()), &error))?;
        }
        Ok(())
    }

    /// Goes on with a session.
    pub(crate) async fn resume(
        mut self,
        bus: Arc<dyn Bus>,
        store: &Path,
        session: SessionId,
    ) -> Result<Result<Party, party_launch::Error>, BadInput> {
        let lacks = self.lacks.take();
        let resumed = self.builder(bus, store).resume(session).await;
        match (lacks, resumed) {
            (Some(lacks), Err(error)) if error.kind() == ErrorKind::Invalid => Err(lacks),
            (_, resumed) => Ok(resumed),
        }
    }

    pub(crate) fn builder(self, bus: Arc<dyn Bus>, store: &Path) -> PartyBuilder {
        let party = Party::builder(bus).environment(self.environment).folder(beside(store, "seats"));
        let party = if self.allows_unknown_prices { party.allow_unknown_prices() } else { party };
        let harnesses = self.harnesses.into_iter();
        harnesses.fold(party, |party, (runtime, harness)| party.harness_as(runtime.name(), harness))
    }
}

/// The store's folder of this name.
fn beside(store: &Path, name: &str) -> PathBuf {
    let mut folder = store.as_os_str().to_owned();
    folder.push(".");
    folder.push(name);
    folder.into()
}

fn harness(
    runtime: Runtime,
    options: &RuntimeOptions,
    environment: &BTreeMap<String, String>,
    store: &Path,
    script: &Script,
) -> Result<Arc<dyn Harness>, BadInput> {
    Ok(match runtime {
        Runtime::Scripted => Arc::new(Scripted::new(script.clone())),
        Runtime::Claude => Arc::new(claude(options, environment)),
        Runtime::Codex => Arc::new(codex(options, environment)?),
        Runtime::OpenClaw => Arc::new(openclaw(options, store)?),
        Runtime::Model => Arc::new(model(options)?),
    })
}

fn claude(options: &RuntimeOptions, environment: &BTreeMap<String, String>) -> ClaudeCode {
    let claude = ClaudeCode::new(program(options.claude_bin.as_ref(), "PARTY_CLAUDE_BIN", "claude"));
    let claude = claude.env(environment.clone());
    match options.claude_mode.unwrap_or_default() {
        ClaudeMode::PerTurn => claude,
        ClaudeMode::Persistent => claude.persistent(),
    }
}

fn program(option: Option<&PathBuf>, variable: &str, name: &str) -> PathBuf {
    let by_variable = || env::var_os(variable).map(PathBuf::from);
    option.cloned().or_else(by_variable).unwrap_or_else(|| name.into())
}

fn codex(options: &RuntimeOptions, environment: &BTreeMap<String, String>) -> Result<Codex, BadInput> {
    let mut codex = match (&options.codex_url, &options.codex_token_file) {
        (Some(url), Some(file)) => {
            let token = secret("--codex-token-file", file)?;
            Codex::attach(url, Some(&token)).map_err(|error| named("--codex-url", &error))?
        }
        _ => Codex::new(program(options.codex_bin.as_ref(), "PARTY_CODEX_BIN", "codex"))
            .env(environment.clone()),
    };
    if let Some(model) = &options.model {
        codex = codex.model(model);
    }
    for (name, value) in options.codex_config.iter().filter_map(|setting| setting.split_once('=')) {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        codex = codex.config(name.trim(), value);
    }
    Ok(codex)
}

fn openclaw(options: &RuntimeOptions, store: &Path) -> Result<OpenClaw, BadInput> {
    let (Some(url), Some(file)) = (&options.openclaw_url, &options.openclaw_token_file) else {
        return Err(BadInput::new(
            "a persona lives on OpenClaw: --openclaw-url and --openclaw-token-file say how to reach its gateway",
        ));
    };
    let token = secret("--openclaw-token-file", file)?;
    let openclaw = OpenClaw::attach(url, token).map_err(|error| named("--openclaw-url", &error))?;
    // A user who waits is told soon.
    Ok(openclaw.keys(beside(store, "keys")).connect_patience(CONNECT))
}

fn model(options: &RuntimeOptions) -> Result<ModelApi, BadInput> {
    let mut api = match options.model_api.unwrap_or_default() {
        ModelApiKind::OpenAi => ModelApi::openai(),
        ModelApiKind::OpenAiResponses => ModelApi::openai_responses(),
        ModelApiKind::Anthropic => ModelApi::anthropic(),
        ModelApiKind::Gemini => ModelApi::gemini(),
        ModelApiKind::Ollama => ModelApi::ollama(),
        // Its address is the one that follows.
        ModelApiKind::Compatible => ModelApi::openai_compatible(""),
    };
    if let Some(url) = &options.model_url {
        api = api.at(url);
    }
    if let Some(model) = &options.model {
        api = api.model(model);
    }
    if let Some(name) = &options.model_key_env {
        // An agent never sees it.
        let key =
            env::var(name).map_err(|error| BadInput::new(format!("--model-key-env: {name}: {error}")))?;
        api = api.key(key);
    }
    Ok(api)
}

fn named(option: &str, error: &dyn std::error::Error) -> BadInput {
    BadInput::new(format!("{option}: {}", BadInput::from_error(error)))
}

fn environment(pass: &[String]) -> Result<BTreeMap<String, String>, BadInput> {
    let environment = base_environment(pass);
    match pass.iter().find(|name| !environment.contains_key(*name)) {
        Some(name) => Err(BadInput::new(format!("--pass-env: {name} is not set, or is not text"))),
        None => Ok(environment),
    }
}
