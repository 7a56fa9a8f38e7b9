//! What the CLI says and asks in a turn.

use super::{MOST_WAITING, Serving};
use crate::claude_code::{
    attempt::Attempt,
    codec::{Control, Decoded},
    persistent::{
        asked::{self, Needs},
        lines,
        live::Live,
        mcp,
        receipts::Note,
    },
    tools::full_names,
};
use crate::{RawJson, RequestId, ToolCall, TurnEvent};
use serde_json::Value;
use tokio::time::Instant;

impl Serving {
    pub(super) async fn said(&mut self, live: &mut Live, attempt: &Attempt, said: Vec<Decoded>) {
        for decoded in said {
            match decoded {
                Decoded::Session(id) => {
                    live.session = Some(id.clone());
                    self.named(id, attempt);
                }
                Decoded::Event(event) => self.event(live, event),
                Decoded::Control(control) => self.control(live, control),
            }
        }
        if live.is_overrun() {
            self.fatal.get_or_insert_with(|| "claude asks and does not read the answers".to_owned());
        }
        if live.decoder.poisoned().is_some() || self.fatal.is_some() {
            live.child.kill().await;
        }
        let waits = live.decoder.is_done() && !self.receipts.is_settled();
        if live.decoder.is_done() {
            self.receipts.paused();
        }
        // An older CLI cannot call a late message back, and may have answered it before it is stopped again.
        self.cut |= waits && self.is_stopped();
        // What was sent late begins a run of its own at once.
        self.late =
            waits.then(|| self.late.unwrap_or_else(|| Instant::now() + self.inner.setup.patience.exit));
    }

    /// The turn runs in the session `id`; said once.
    pub(in crate::claude_code::persistent) fn named(&mut self, id: String, attempt: &Attempt) {
        let started = self.inner.named(id, attempt);
        if !std::mem::replace(&mut self.started, true) {
            self.relay.push(started);
        }
    }

    fn event(&mut self, live: &mut Live, event: TurnEvent) {
        let TurnEvent::Raw { event: raw } = &event else { return self.relay.push(event) };
        let Some(note) = Note::read(raw) else { return self.relay.push(event) };
        self.receipts.note(&note);
        match note {
            // A message that could not be called back has a run of its own now.
            Note::Begun if self.is_stopped() => live.write(&lines::interrupt(self.number())),
            _ if self.receipts.is_taken() => self.send_early(live),
            _ => {}
        }
        if note == Note::Begun {
            self.relay.push(event);
        }
    }

    fn control(&mut self, live: &mut Live, control: Control) {
        match control {
            Control::Asked { id, what } => {
                let needs = asked::read(&id, what, live.shape.tools());
                self.asked(live, id, needs);
            }
            Control::Withdrawn { id } => {
                self.calls.forget(&id);
                if self.questions.remove(&id).is_some() {
                    self.relay.push(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
                }
            }
            Control::Answered { id, answer } if id == lines::INITIALIZE => {
                live.opening = None;
                self.fatal = answer.err().map(|why| format!("claude refused the control protocol: {why}"));
            }
            Control::Answered { id, answer } if id == lines::STATUS => {
                let Some(required) = live.shape.required() else { return };
                match live.gate.told(answer, &required) {
                    Ok(line) => live.write(&line),
                    Err(missing) => live.decoder.poison_with(missing),
                }
            }
            Control::Answered { .. } => {}
        }
    }

    fn asked(&mut self, live: &mut Live, id: String, needs: Needs) {
        match needs {
            Needs::Line(line) => live.write(&line),
            Needs::Pass => {
                let line = live.gate.reached(id);
                live.write(&line);
            }
            Needs::Forget(request, line) => {
                self.calls.forget_id(&request);
                live.write(&line);
            }
            Needs::Call { id: request, call, name, arguments } => {
                let key = self.order.request.key;
                let call = ToolCall { key, id: call.unwrap_or_else(|| id.clone()), name, arguments };
                if !self.calls.begin(&self.inner.tools, id.clone(), request.clone(), call) {
                    live.write(&lines::mcp(&id, &mcp::error(&request, -32000, "too many calls at once")));
                }
            }
            Needs::Leave { tool, input } => self.leave(live, id, tool, input),
        }
    }

    /// The host's own tools are allowed to whoever has them.
    fn leave(&mut self, live: &mut Live, id: String, tool: String, input: RawJson) {
        if full_names(mcp::SERVER, live.shape.tools()).contains(&tool) {
            return live.write(&lines::allow(&id, &input));
        }
        if !self.order.request.ask || self.questions.len() >= MOST_WAITING {
            return live.write(&lines::deny(&id, "this turn may not use the tool"));
        }
        // Whoever is asked must be able to read it.
        if input.parse::<Value>().is_err() {
            return live.write(&lines::deny(&id, "the arguments cannot be read; use simpler ones"));
        }
        self.questions.insert(id.clone(), input.clone());
        self.relay.push(TurnEvent::PermissionAsked { request: RequestId(id), tool, input });
    }
}
