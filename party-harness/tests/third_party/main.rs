//! What a third party does to have its harness tested: a stage, and one line.
#![cfg(unix)]

mod lines;
#[path = "../stages/mod.rs"]
mod stages;
mod turn;

use lines::Lines;
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    conformance::{Act, Cast, Heard, Part, Stage},
    core::SeatId,
};
use serde_json::json;
use stages::Folders;
use std::{collections::BTreeMap, fmt::Write as _, fs, sync::Arc};

/// Agents that are shell scripts.
struct Shells(Folders);

async fn make() -> Shells {
    Shells(Folders::new())
}

mod a207_a_harness_of_public_items_only {
    use super::make;

    party_harness::harness_conformance!(make);
}

/// One script for all seats: what it does depends on the seat and on the cue in its message.
const BEGIN: &str = r#"printf '%s' "$2" >"$1.system"
printf '%s' "$3" >"$1.model"
printf '%s' "$4" >"$1.tools"
read -r message
case "$SEAT $message" in
"#;

fn commands(part: &Part) -> Option<String> {
    let mut commands = String::new();
    for (at, act) in part.acts.iter().enumerate() {
        let line = match act {
            Act::Think(text) => json!({ "think": text }),
            Act::Say(text) => json!({ "say": text }),
            Act::Spend(usd) => json!({ "cost": usd.as_micros() }),
            Act::Call { tool, arguments } => {
                json!({"call": {"id": format!("call-{at}"), "tool": tool, "arguments": arguments}})
            }
            Act::Echo => {
                commands.push_str("printf '{\"say\":%s}\\n' \"$message\"\n");
                continue;
            }
            Act::Fail => {
                commands.push_str("echo 'out of order' >&2; exit 3\n");
                continue;
            }
            Act::Hang => {
                commands.push_str("sleep 1000\n");
                continue;
            }
            _ => return None,
        };
        let quoted = line.to_string().replace('\'', r"'\''");
        let reads = if matches!(act, Act::Call { .. }) { "read -r reply\n" } else { "" };
        write!(commands, "printf '%s\\n' '{quoted}'\n{reads}").ok()?;
    }
    Some(commands)
}

#[async_trait]
impl Stage for Shells {
    fn capabilities(&self) -> Capabilities {
        Lines::new(Vec::new()).info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let mut script = BEGIN.to_owned();
        for (seat, parts) in cast {
            for part in parts {
                write!(script, "'{seat} '*'{}'*)\n{};;\n", part.cue, commands(&part)?).ok()?;
            }
        }
        script.push_str("esac\n");
        let program = self.0.of(SeatId(0), "bin").join("agent.sh");
        fs::write(&program, script).ok()?;
        Some(Arc::new(Lines::new(vec!["/bin/sh".to_owned(), program.display().to_string()])))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        let folder = self.0.of(seat, "home").display().to_string();
        let env = [("SEAT", seat.to_string()), ("HOME", folder), ("PATH", "/usr/bin:/bin".to_owned())];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        RuntimeSpec { model: Some("sh-1".to_owned()), ..self.0.spec(seat, BTreeMap::from(env)) }
    }

    fn heard(&self, seat: SeatId) -> Option<Vec<Heard>> {
        let memory = self.0.of(seat, "own").join("memory.jsonl");
        let read = |ending: &str| fs::read_to_string(format!("{}{ending}", memory.display()));
        let Ok(told) = read("") else { return Some(Vec::new()) };
        let heard = Heard {
            system: read(".system").unwrap_or_default(),
            model: read(".model").ok(),
            said: told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            tools: read(".tools").unwrap_or_default().split_terminator(',').map(str::to_owned).collect(),
        };
        Some(vec![heard])
    }

    fn alive(&self, seat: SeatId) -> Option<usize> {
        let home = self.0.of(seat, "home");
        cfg!(target_os = "linux").then(|| stages::alive("HOME", &home.display().to_string()))
    }
}
