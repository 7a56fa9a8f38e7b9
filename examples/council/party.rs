//! From the command line to a party: personas, runtimes, budget.

use crate::{
    args::Args,
    hosting::Hosting,
    script::script,
    values::{Runtime, budget},
};
use party_core::{BudgetTerms, Usd};
use party_examples::BadInput;
use party_launch::{
    Party, Persona, Roster, Seat,
    bus::SqliteBus,
    formats::{Format, Member, check_budget},
};
use std::{collections::BTreeSet, env, path::Path, sync::Arc};

const DEFAULT_BUDGET: &str = "1.50";

/// A council that is ready to start; nothing is written yet.
pub(crate) struct Plan {
    question: String,
    format: Format,
    seats: Vec<Seat>,
    budget: Usd,
    hosting: Hosting,
}

impl Plan {
    pub(crate) async fn new(args: &Args, store: &Path) -> Result<Self, BadInput> {
        if env::var_os("PARTY_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(BadInput::new("parties are disabled here: PARTY_DISABLED=true"));
        }
        let roster = roster(args)?;
        let (seats, needed) = seats(&roster, args.harness.unwrap_or(Runtime::Scripted))?;
        let script = script(args, seats.iter().map(|seat| seat.name.as_str()))?;
        let hosting = Hosting::new(args, store, &needed, &script)?;
        hosting.probe().await?;
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

/// The seats in order, and the runtimes that they live on.
fn seats(roster: &Roster, otherwise: Runtime) -> Result<(Vec<Seat>, BTreeSet<Runtime>), BadInput> {
    let personas = roster.personas.iter().map(|persona| (persona, "persona"));
    let (mut seats, mut needed) = (Vec::new(), BTreeSet::new());
    for (persona, role) in personas.chain([(&roster.judge, "judge")]) {
        let runtime = match &persona.harness {
            Some(name) => Runtime::parse(&format!("persona {}", persona.name), name)?,
            None => otherwise,
        };
        needed.insert(runtime);
        let mut seat = Seat::new(&persona.name, role).prompt(persona.prompt()).harness(runtime.name());
        seat.model = persona.model.clone();
        seats.push(seat);
    }
    Ok((seats, needed))
}

fn cap(args: &Args) -> Result<Usd, BadInput> {
    match (args.budget, env::var("PARTY_DEFAULT_BUDGET_USD")) {
        (Some(cap), _) => Ok(cap),
        (None, Ok(text)) => budget("PARTY_DEFAULT_BUDGET_USD", &text),
        (None, Err(env::VarError::NotPresent)) => budget("the default budget", DEFAULT_BUDGET),
        (None, Err(error)) => Err(BadInput::new(format!("PARTY_DEFAULT_BUDGET_USD: {error}"))),
    }
}
