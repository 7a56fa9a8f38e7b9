//! From the command line to a party: personas, runtimes, budget.

use crate::{
    args::Args,
    values::{ClaudeMode, Runtime, budget},
};
use party_core::{BudgetTerms, SeatSpec, Usd};
use party_examples::BadInput;
use party_launch::{
    Party, PartyBuilder, Persona, Roster, Seat, base_environment,
    bus::{Bus, SqliteBus},
    formats::{Format, Member, check_budget},
    harness::{
        Harness,
        claude_code::ClaudeCode,
        scripted::{Script, Scripted, Step},
    },
};
use std::{collections::BTreeMap, env, fs, io::Read, path::Path, sync::Arc};

const DEFAULT_BUDGET: &str = "1.50";
const SCRIPT_LIMIT: u64 = 1 << 20;

/// A council that is ready to start; nothing is written yet.
pub(crate) struct Plan {
    question: String,
    format: Format,
    seats: Vec<Seat>,
    budget: Usd,
    hosting: Hosting,
}

/// What runs the seats.
pub(crate) struct Hosting {
    script: Script,
    claude: ClaudeCode,
    environment: BTreeMap<String, String>,
}

impl Plan {
    pub(crate) async fn new(args: &Args) -> Result<Self, BadInput> {
        if env::var_os("PARTY_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(BadInput::new("parties are disabled here: PARTY_DISABLED=true"));
        }
        let roster = roster(args)?;
        let runtime = args.harness.unwrap_or(Runtime::Scripted);
        let seats: Vec<Seat> = seats(&roster, runtime)?;
        let hosting = Hosting::new(args, seats.iter().map(|seat| seat.name.as_str()))?;
        if seats.iter().any(|seat| seat.harness.as_deref() == Some(Runtime::Claude.name())) {
            hosting.probe_claude().await?;
        }
        let mut format = Format::council()
            .with_rounds(args.rounds.unwrap_or(1))
            .map_err(|error| BadInput::from_error(&error))?;
        if let Some(seconds) = args.timeout {
            format = format.with_timeout_secs(seconds);
        }
        let budget = cap(args)?;
        let team: Vec<Member> = seats.iter().map(|seat| Member::new(&seat.name, &seat.role)).collect();
        let terms = BudgetTerms { cap: budget, per_turn: None };
        check_budget(&format, &team, terms).map_err(|error| BadInput::from_error(&error))?;
        let question = args.question.clone().unwrap_or_default();
        Ok(Self { question, format, seats, budget, hosting })
    }

    pub(crate) async fn start(self, bus: Arc<SqliteBus>, store: &Path) -> Result<Party, party_launch::Error> {
        let mut builder = self.hosting.builder(bus, store).format(self.format).budget(self.budget, None);
        for seat in self.seats {
            builder = builder.seat(seat);
        }
        builder.start(&self.question).await
    }
}

impl Hosting {
    /// What runs the seats of a session that is there.
    pub(crate) fn of_session(args: &Args, seats: &[SeatSpec]) -> Result<Self, BadInput> {
        Self::new(args, seats.iter().map(|seat| seat.name.as_str()))
    }

    fn new<'a>(args: &Args, seats: impl Iterator<Item = &'a str>) -> Result<Self, BadInput> {
        let environment = environment(&args.pass_env)?;
        let program = args
            .claude_bin
            .clone()
            .or_else(|| env::var_os("PARTY_CLAUDE_BIN").map(Into::into))
            .unwrap_or_else(|| "claude".into());
        let claude = ClaudeCode::new(program).env(environment.clone());
        let claude = match args.claude_mode.unwrap_or_default() {
            ClaudeMode::PerTurn => claude,
            ClaudeMode::Persistent => claude.persistent(),
        };
        Ok(Self { script: script(args, seats)?, claude, environment })
    }

    pub(crate) async fn probe_claude(&self) -> Result<(), BadInput> {
        self.claude.probe().await.map(|_| ()).map_err(|error| BadInput::from_error(&error))
    }

    pub(crate) fn builder(self, bus: Arc<dyn Bus>, store: &Path) -> PartyBuilder {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".seats");
        Party::builder(bus)
            .harness(Scripted::new(self.script))
            .harness(self.claude)
            .environment(self.environment)
            .folder(folder)
    }
}

fn roster(args: &Args) -> Result<Roster, BadInput> {
    let all = match &args.persona_dir {
        Some(folder) => Persona::load_dir(folder).and_then(Roster::new),
        None => Roster::new(Persona::shipped()),
    };
    let roster = all.map_err(|error| {
        let error = BadInput::from_error(&error);
        match &args.persona_dir {
            Some(folder) => BadInput::new(format!("--persona-dir {}: {error}", folder.display())),
            None => error,
        }
    })?;
    let Some(names) = &args.personas else { return Ok(roster) };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    roster.select(&names).map_err(|error| BadInput::new(format!("--personas: {error}")))
}

fn seats(roster: &Roster, runtime: Runtime) -> Result<Vec<Seat>, BadInput> {
    let personas = roster.personas.iter().map(|persona| (persona, "persona"));
    let all = personas.chain([(&roster.judge, "judge")]);
    all.map(|(persona, role)| {
        let harness = persona.harness.as_deref().unwrap_or(runtime.name());
        if ![Runtime::Scripted.name(), Runtime::Claude.name()].contains(&harness) {
            return Err(BadInput::new(format!(
                "persona {}: unknown harness `{harness}`; there are: scripted, claude",
                persona.name
            )));
        }
        let mut seat = Seat::new(&persona.name, role).prompt(persona.prompt()).harness(harness);
        seat.model = persona.model.clone();
        Ok(seat)
    })
    .collect()
}

fn cap(args: &Args) -> Result<Usd, BadInput> {
    match (args.budget, env::var("PARTY_DEFAULT_BUDGET_USD")) {
        (Some(cap), _) => Ok(cap),
        (None, Ok(text)) => budget("PARTY_DEFAULT_BUDGET_USD", &text),
        (None, Err(env::VarError::NotPresent)) => budget("the default budget", DEFAULT_BUDGET),
        (None, Err(error)) => Err(BadInput::new(format!("PARTY_DEFAULT_BUDGET_USD: {error}"))),
    }
}

fn environment(pass: &[String]) -> Result<BTreeMap<String, String>, BadInput> {
    let environment = base_environment(pass);
    match pass.iter().find(|name| !environment.contains_key(*name)) {
        Some(name) => Err(BadInput::new(format!("--pass-env: {name} is not set, or is not text"))),
        None => Ok(environment),
    }
}

/// The shipped script, or the user's. A persona that it does not know says so.
fn script<'a>(args: &Args, seats: impl Iterator<Item = &'a str>) -> Result<Script, BadInput> {
    let (source, text) = match &args.script {
        Some(file) => (file.display().to_string(), script_text(file)?),
        None => ("the shipped script".to_owned(), include_str!("script.yaml").to_owned()),
    };
    let mut script = Script::from_yaml(&text).map_err(|error| BadInput::new(format!("{source}: {error}")))?;
    for (index, name) in (0..).zip(seats) {
        if !script.knows(name) {
            let text = format!(
                "(Scripted: no model was asked, and the script has no words for {name}.) On “{{question}}” I have no opinion of my own."
            );
            script = script.agent(name, [Step::say(50 + 10 * (index % 15), text)]);
        }
    }
    Ok(script)
}

/// The text of a script; only a regular file is opened, since a pipe may never have a writer.
fn script_text(file: &Path) -> Result<String, BadInput> {
    let refuse = |why: &str| BadInput::new(format!("--script {}: {why}", file.display()));
    let refused = |error: std::io::Error| refuse(&error.to_string());
    if !fs::metadata(file).map_err(refused)?.is_file() {
        return Err(refuse("is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|file| file.take(SCRIPT_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(refused)?;
    if bytes.len() as u64 > SCRIPT_LIMIT {
        return Err(refuse("is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8"))
}
