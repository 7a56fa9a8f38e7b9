//! A stop from elsewhere reaches an agent that never pauses.

use futures::{StreamExt, stream};
use party_launch::{
    Party, Seat,
    bus::{Batch, Bus, MemoryBus},
    core::{
        Author, BatchId, CloseReason, Command, Commanded, Cost, NewRecord, Outcome, Sent, Timestamp, Usage,
    },
    harness::{
        Answer, Capabilities, Close, Harness, HarnessInfo, Health, Probe, Recovery, RequestId, Result,
        RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolDoor, ToolPort, Turn, TurnControl, TurnEnd,
        TurnEvent, TurnKey, TurnRequest, async_trait,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A forum offers its agents a tool.
const CAN: Capabilities = Capabilities { tools: ToolDoor::InProcess, ..Capabilities::TEXT_ONLY };

/// Talks without end, and as fast as it is listened to, until it is interrupted.
#[derive(Debug)]
struct Chatterbox(HarnessInfo);

#[derive(Debug)]
struct Chat;

#[derive(Debug, Default)]
struct Interrupted(AtomicBool);

#[async_trait]
impl Harness for Chatterbox {
    fn info(&self) -> &HarnessInfo {
        &self.0
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe::new("1"))
    }

    async fn open(&self, _: RuntimeSpec, _: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        Ok(Arc::new(Chat))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl RuntimeSession for Chat {
    fn state(&self) -> RuntimeState {
        RuntimeState { token: None, resumed: false, health: Health::Idle }
    }

    async fn turn(&self, _: TurnRequest) -> Result<Turn> {
        let control = Arc::new(Interrupted::default());
        let interrupted = Arc::clone(&control);
        let talk = stream::repeat_with(move || {
            if interrupted.0.load(Ordering::Acquire) {
                ended()
            } else {
                TurnEvent::Text { text: "and".into() }
            }
        });
        Ok(Turn::new(talk.boxed(), control))
    }

    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::NotSeen)
    }

    async fn close(&self, _: Close) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl TurnControl for Interrupted {
    async fn steer(&self, _: String) -> Result<Steered> {
        Ok(Steered::TooLate)
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.store(true, Ordering::Release);
        Ok(())
    }
}

fn ended() -> TurnEvent {
    TurnEvent::Ended(TurnEnd {
        outcome: Outcome::Cancelled,
        text: None,
        usage: Usage::default(),
        cost: Cost::Unknown,
        reason: None,
        failure: None,
        sent: Sent::Full,
        token: None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_another_process_wrote_ends_a_turn_that_streams_without_pause() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let folder = tempfile::tempdir().unwrap();
    let party = Party::builder(Arc::clone(&bus))
        .harness(Chatterbox(HarnessInfo::new("chat", CAN)))
        .folder(folder.path())
        .seat(Seat::new("Ada", "participant"))
        .start("Hi")
        .await
        .unwrap();
    let mut records = party.records();
    while records.next().await.unwrap().kind != "traced" {}
    let stop = NewRecord::new(Timestamp::default(), &Commanded { command: Command::Stop }.into());
    let batch = Batch::input(party.session(), BatchId::derive(&[b"stop"]), Author::human("eve"), vec![stop]);
    bus.append(batch).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), party.finished()).await;
    assert_eq!(closed.expect("the stop is acted on").unwrap(), CloseReason::Aborted);
}
