//! Recordings as agents. What a recording cannot show is whatever waits for somebody: it was over
//! before it was played.

use crate::stages::Folders;
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    conformance::{Act, Cast, Part, Stage},
    core::SeatId,
    harness_conformance,
    replay::Replay,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

struct Recordings(Folders);

#[expect(clippy::unused_async, reason = "the suite takes async makers")]
async fn make() -> Recordings {
    Recordings(Folders::new())
}

harness_conformance!(make, not_shown: [
    a_second_turn_while_one_runs_is_refused,
    hostile_texts_arrive_exactly,
    the_system_prompt_and_the_model_arrive,
    the_state_tells_the_truth,
    an_interrupt_ends_the_turn_and_nothing_else,
    an_interrupt_before_the_first_event_ends_the_turn,
    a_dropped_turn_ends_and_frees_the_session,
    an_orderly_close_ends_a_running_turn,
    a_close_now_ends_a_running_turn,
    a_shutdown_ends_everything,
]);

fn assistant(id: usize, block: &Value) -> Value {
    json!({"type": "assistant", "uuid": format!("a-{id}"), "session_id": "s-1",
        "message": {"id": format!("m-{id}"), "model": "m", "content": [block]}})
}

/// What the CLI would have written.
fn recording(part: &Part) -> Option<String> {
    let init = json!({"type": "system", "subtype": "init", "uuid": "i", "session_id": "s-1",
        "tools": [], "mcp_servers": [], "claude_code_version": "2.1.329"});
    let (mut lines, mut said, mut dollars, mut fails) = (vec![init], String::new(), 0.0, false);
    for (at, act) in part.acts.iter().enumerate() {
        match act {
            Act::Think(text) => lines.push(assistant(at, &json!({"type": "thinking", "thinking": text}))),
            Act::Call { tool, arguments } => {
                let (id, name) = (format!("toolu_{at}"), format!("mcp__party__{tool}"));
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": arguments});
                lines.push(assistant(at, &block));
                let block = json!({"type": "tool_result", "tool_use_id": id, "content": "what it was then"});
                lines.push(json!({"type": "user", "uuid": format!("u-{at}"), "session_id": "s-1",
                    "message": {"role": "user", "content": [block]}}));
            }
            #[expect(clippy::cast_precision_loss, reason = "the figures of the suite are small")]
            Act::Spend(usd) => dollars = usd.as_micros() as f64 / 1e6,
            Act::Say(text) => {
                said.clone_from(text);
                lines.push(assistant(at, &json!({"type": "text", "text": text})));
            }
            Act::Fail => fails = true,
            _ => return None,
        }
    }
    lines.push(json!({"type": "result", "subtype": "success", "uuid": "r", "session_id": "s-1",
        "is_error": fails, "num_turns": 1, "result": if fails { "API Error: 500".to_owned() } else { said },
        "total_cost_usd": dollars,
        "model_usage_since_last_result": {"m": {"costUSD": dollars, "inputTokens": 5, "outputTokens": 6}}}));
    Some(lines.iter().map(|line| format!("{line}\n")).collect())
}

#[async_trait]
impl Stage for Recordings {
    fn capabilities(&self) -> Capabilities {
        Replay::claude(Vec::<(String, Vec<String>)>::new()).info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let agents = cast.into_iter().map(|(seat, parts)| {
            let recordings: Option<Vec<String>> = parts.iter().map(recording).collect();
            Some((self.spec(seat).agent, recordings?))
        });
        let agents: Option<Vec<_>> = agents.collect();
        Some(Arc::new(Replay::claude(agents?)))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        self.0.spec(seat, BTreeMap::new())
    }
}
