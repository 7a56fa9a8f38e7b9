//! The store that is held against the one in memory.

use super::{
    act::{Act, Answer, Reference},
    steps::Step,
};
use crate::{BusAdmin, Capabilities, Scope, Watch, conformance::Stage};
use party_core::{Offset, SessionId};
use proptest::test_runner::TestCaseError;
use std::{fmt, sync::Arc};

pub(super) struct Beside<'a> {
    stage: &'a dyn Stage,
    can: Capabilities,
    /// Twice the same, where the store is used by one process.
    handles: [Arc<dyn BusAdmin>; 2],
    /// What each handle was told of last.
    marks: [u64; 2],
}

fn fail(why: impl fmt::Display) -> TestCaseError {
    TestCaseError::fail(why.to_string())
}

impl<'a> Beside<'a> {
    pub(super) async fn new(stage: &'a dyn Stage) -> Self {
        let one = stage.open().await;
        let can = one.info().capabilities;
        let other = if can.cross_process { stage.open().await } else { Arc::clone(&one) };
        Self { stage, can, handles: [one, other], marks: [0; 2] }
    }

    /// Takes the step that the reference took last, and answers as it did.
    pub(super) async fn follows(&mut self, model: &Reference, step: &Step) -> Result<(), TestCaseError> {
        let Some((act, expected)) = &model.asked else {
            return self.reopen(step.handle).await;
        };
        let answer = act.play(&*self.handles[step.handle]).await;
        same(act, &answer, expected)?;
        match (act, &answer) {
            (Act::Append(batch), Ok(told)) if told.contains("repeated: false") => {
                let head = model.head(batch.session);
                for handle in 0..2 {
                    self.hears_of(handle, batch.session, head).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A handle that asks on from its last mark hears of what any of them wrote.
    async fn hears_of(
        &mut self,
        handle: usize,
        session: SessionId,
        head: Offset,
    ) -> Result<(), TestCaseError> {
        loop {
            let since = self.marks[handle];
            let changed = self.handles[handle].changed(Watch::Any { since }).await.map_err(fail)?;
            self.marks[handle] = changed.mark;
            if changed.head_of(session).is_some_and(|told| told >= head) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn reopen(&mut self, handle: usize) -> Result<(), TestCaseError> {
        if !self.can.durable {
            return Ok(());
        }
        self.handles[handle].close().await.map_err(fail)?;
        let [one, other] = &mut self.handles;
        let (this, rest) = if handle == 0 { (one, other) } else { (other, one) };
        *this = self.stage.open().await;
        if !self.can.cross_process {
            *rest = Arc::clone(this);
        }
        Ok(())
    }

    /// Both handles show all that the reference shows, and what they show fits together.
    pub(super) async fn equals(&self, model: &Reference) -> Result<(), TestCaseError> {
        let everything = model.everything();
        for bus in &self.handles {
            for (act, expected) in &everything {
                same(act, &act.play(&**bus).await, expected)?;
            }
            let report = bus.verify(Scope::Store).await.map_err(fail)?;
            if !report.problems.is_empty() {
                return Err(fail(format_args!("verification finds {:?}", report.problems)));
            }
        }
        Ok(())
    }
}

fn same(act: &Act, answer: &Answer, expected: &Answer) -> Result<(), TestCaseError> {
    if answer == expected {
        return Ok(());
    }
    Err(fail(format_args!("{act:?}\n is answered {answer:?}\n and in memory {expected:?}")))
}
