//! The suite fails what breaks a promise: scripted agents behind an adapter with one fault each.

use crate::scripted::Scripts;
use futures::{FutureExt as _, StreamExt as _, future, stream};
use party_harness::{
    Answer, Capabilities, Close, Error, ErrorKind, Harness, HarnessInfo, Probe, Recovery, RequestId, Result,
    RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolCall, ToolPort, ToolReply, Turn, TurnControl,
    TurnEvent, TurnKey, TurnRequest, async_trait,
    conformance::{self, Cast, Played, Stage},
    core::{ContentBlock, Cost, ModelMessage, SeatId},
};
use serde_json::Value;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    EndsTwice,
    NeverEnds,
    TalksOn,
    NamesNoSession,
    ChangesText,
    GivesNoReason,
    KnowsNoCost,
    Queues,
    IsDeafToInterrupts,
    LivesOnWhenDropped,
    ClosesOddly,
    OutlivesShutdown,
    ForgetsSessions,
    ForgetsTurns,
    ChangesMessages,
    MixesKeys,
    CallsTwice,
    HidesErrors,
    AllowsEverything,
    LosesMessages,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a207_every_fault_fails_the_case_that_is_about_it() {
    use conformance as c;
    future::join_all([
        fails(Fault::EndsTwice, |stage| c::a_turn_ends_once_with_what_was_said(stage).boxed()).boxed(),
        fails(Fault::NeverEnds, |stage| c::a_turn_ends_once_with_what_was_said(stage).boxed()).boxed(),
        fails(Fault::TalksOn, |stage| c::a_turn_ends_once_with_what_was_said(stage).boxed()).boxed(),
        fails(Fault::NamesNoSession, |stage| c::a_turn_ends_once_with_what_was_said(stage).boxed()).boxed(),
        fails(Fault::ChangesText, |stage| c::a_turn_ends_once_with_what_was_said(stage).boxed()).boxed(),
        fails(Fault::GivesNoReason, |stage| c::a_failed_turn_says_why(stage).boxed()).boxed(),
        fails(Fault::KnowsNoCost, |stage| c::a_turn_costs_what_the_runtime_reports(stage).boxed()).boxed(),
        fails(Fault::Queues, |stage| c::a_second_turn_while_one_runs_is_refused(stage).boxed()).boxed(),
        fails(Fault::IsDeafToInterrupts, |s| c::an_interrupt_ends_the_turn_and_nothing_else(s).boxed())
            .boxed(),
        fails(Fault::LivesOnWhenDropped, |s| c::a_dropped_turn_ends_and_frees_the_session(s).boxed()).boxed(),
        fails(Fault::ClosesOddly, |stage| c::a_closed_session_takes_no_turn(stage).boxed()).boxed(),
        fails(Fault::OutlivesShutdown, |stage| c::a_shutdown_ends_everything(stage).boxed()).boxed(),
        fails(Fault::ForgetsSessions, |stage| c::a_resumed_session_remembers(stage).boxed()).boxed(),
        fails(Fault::ForgetsTurns, |stage| c::a_turn_that_ended_is_known(stage).boxed()).boxed(),
        fails(Fault::ChangesMessages, |stage| c::hostile_texts_arrive_exactly(stage).boxed()).boxed(),
        fails(Fault::MixesKeys, |stage| c::calls_of_two_turns_carry_their_own_keys(stage).boxed()).boxed(),
        fails(Fault::CallsTwice, |s| c::a_call_reaches_the_host_and_its_reply_the_model(s).boxed()).boxed(),
        fails(Fault::HidesErrors, |stage| c::an_error_reply_does_not_end_the_turn(stage).boxed()).boxed(),
        fails(Fault::AllowsEverything, |stage| c::a_denied_tool_is_not_used(stage).boxed()).boxed(),
        fails(Fault::LosesMessages, |stage| c::a_running_turn_takes_a_message(stage).boxed()).boxed(),
    ])
    .await;
}

async fn fails<F>(fault: Fault, case: F)
where
    F: for<'a> Fn(&'a dyn Stage) -> future::BoxFuture<'a, Played>,
{
    let stage = Broken { scripts: Scripts::new(), fault };
    let judged = conformance::judge("the case", &stage, case(&stage), &[]);
    assert!(AssertUnwindSafe(judged).catch_unwind().await.is_err(), "{fault:?} passes");
}

struct Broken {
    scripts: Scripts,
    fault: Fault,
}

#[async_trait]
impl Stage for Broken {
    fn capabilities(&self) -> Capabilities {
        self.scripts.capabilities()
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        Some(Arc::new(Faulty { inner: self.scripts.harness(cast).await?, fault: self.fault }))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        self.scripts.spec(seat)
    }

    fn own_tool(&self) -> Option<(String, Value)> {
        self.scripts.own_tool()
    }

    /// Long enough for a scripted case, and what hangs is soon known to.
    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// Any part of a harness, and what is wrong with it.
#[derive(Debug)]
struct Faulty<T: ?Sized> {
    fault: Fault,
    inner: Arc<T>,
}

impl<T: ?Sized> Faulty<T> {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

#[async_trait]
impl Harness for Faulty<dyn Harness> {
    fn info(&self) -> &HarnessInfo {
        self.inner.info()
    }

    async fn probe(&self) -> Result<Probe> {
        self.inner.probe().await
    }

    async fn open(&self, mut spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        if self.has(Fault::ForgetsSessions) {
            spec.resume = None;
        }
        let inner = self.inner.open(spec, Arc::new(Faulty { fault: self.fault, inner: tools })).await?;
        Ok(Arc::new(Faulty { fault: self.fault, inner }))
    }

    async fn shutdown(&self) -> Result<()> {
        if self.has(Fault::OutlivesShutdown) { Ok(()) } else { self.inner.shutdown().await }
    }
}

#[async_trait]
impl RuntimeSession for Faulty<dyn RuntimeSession> {
    fn state(&self) -> RuntimeState {
        self.inner.state()
    }

    async fn turn(&self, mut request: TurnRequest) -> Result<Turn> {
        if self.has(Fault::ChangesMessages) {
            request.delta.iter_mut().for_each(change);
        }
        let turn = match self.inner.turn(request.clone()).await {
            Err(error) if error.kind() == ErrorKind::Busy && self.has(Fault::Queues) => {
                std::future::pending().await
            }
            Err(_) if self.has(Fault::ClosesOddly) => Err(Error::new(ErrorKind::Io, "gone")),
            turn => turn,
        }?;
        let fault = self.fault;
        let control = Arc::new(Faulty { fault, inner: Arc::clone(&turn.control) });
        if self.has(Fault::LivesOnWhenDropped) {
            let (sender, receiver) = futures::channel::mpsc::unbounded();
            // Whether or not anybody listens.
            tokio::spawn(turn.events.for_each(move |event| {
                let _ = sender.unbounded_send(event);
                std::future::ready(())
            }));
            return Ok(Turn::new(receiver.boxed(), control));
        }
        let events = turn.events.flat_map(move |event| stream::iter(faulty(fault, event)));
        Ok(Turn::new(events.boxed(), control))
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        if self.has(Fault::ForgetsTurns) { Ok(Recovery::NotSeen) } else { self.inner.recover(turn).await }
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.inner.close(how).await
    }
}

fn change(message: &mut ModelMessage) {
    let text = message.text().replace('\u{2028}', "\n");
    message.content = vec![ContentBlock::text(text)];
}

fn faulty(fault: Fault, event: TurnEvent) -> Vec<TurnEvent> {
    match (fault, event) {
        (Fault::EndsTwice, event @ TurnEvent::Ended(_)) => vec![event.clone(), event],
        (Fault::NeverEnds, TurnEvent::Ended(_)) | (Fault::NamesNoSession, TurnEvent::Started { .. }) => {
            vec![]
        }
        (Fault::TalksOn, event @ TurnEvent::Ended(_)) => {
            vec![event, TurnEvent::Text { text: "And another thing.".into() }]
        }
        (Fault::ChangesText, TurnEvent::Ended(mut end)) => {
            end.text = end.text.map(|text| text.trim_end_matches('.').into());
            vec![TurnEvent::Ended(end)]
        }
        (Fault::GivesNoReason, TurnEvent::Ended(mut end)) => {
            end.reason = None;
            vec![TurnEvent::Ended(end)]
        }
        (Fault::KnowsNoCost, TurnEvent::Ended(mut end)) => {
            end.cost = Cost::Unknown;
            vec![TurnEvent::Ended(end)]
        }
        (Fault::HidesErrors, TurnEvent::ToolResult { id, text, .. }) => {
            vec![TurnEvent::ToolResult { id, text, is_error: false }]
        }
        (_, event) => vec![event],
    }
}

#[async_trait]
impl TurnControl for Faulty<dyn TurnControl> {
    async fn steer(&self, text: String) -> Result<Steered> {
        if self.has(Fault::LosesMessages) { Ok(Steered::Taken) } else { self.inner.steer(text).await }
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()> {
        let answer = if self.has(Fault::AllowsEverything) { Answer::Allow } else { answer };
        self.inner.answer(request, answer).await
    }

    async fn interrupt(&self) -> Result<()> {
        if self.has(Fault::IsDeafToInterrupts) { Ok(()) } else { self.inner.interrupt().await }
    }
}

#[async_trait]
impl ToolPort for Faulty<dyn ToolPort> {
    async fn call(&self, mut call: ToolCall) -> ToolReply {
        if self.has(Fault::MixesKeys) {
            call.key.attempt = 2;
        }
        if self.has(Fault::CallsTwice) {
            self.inner.call(call.clone()).await;
        }
        self.inner.call(call).await
    }
}
