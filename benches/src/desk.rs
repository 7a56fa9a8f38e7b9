//! A party of one seat whose turns last as long as a bench wants, and the tools' door of each.

use futures::{StreamExt as _, stream};
use party_bus::Bus;
use party_core::{Cost, Outcome, Sent, Usage, Usd};
use party_formats::Format;
use party_launch::{
    Party, Seat, async_trait,
    harness::{
        Answer, Capabilities, Close, CostSource, Error, ErrorKind, Harness, HarnessInfo, Health, McpEndpoint,
        Probe, Recovery, RequestId, Result, RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolDoor,
        ToolPort, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest,
    },
};
use std::{path::Path, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// As often as an intent lets a turn share.
const SHARES: u32 = 100;

/// A door, and what ends its turn when it is dropped.
type Open = (McpEndpoint, oneshot::Sender<()>);

/// A party that waits for calls.
#[derive(Debug)]
pub struct Desk {
    party: Party,
    doors: mpsc::UnboundedReceiver<Open>,
}

impl Desk {
    /// A turn of it takes this many shares.
    pub const SHARES: usize = SHARES as usize;

    /// Begins the party; its first turn runs.
    pub async fn open(bus: Arc<dyn Bus>, folder: &Path) -> party_launch::Result<Self> {
        let text = format!(
            "name: desk\nroles: {{ clerk: {{ intent: talk, share: tool }} }}\n\
             intents: {{ talk: {{ tools: [share], shares: {SHARES}, timeoutSecs: 3600 }} }}\n"
        );
        let format = Format::from_yaml(&text).expect("a format of ours");
        let (tell, doors) = mpsc::unbounded_channel();
        let capabilities =
            Capabilities { tools: ToolDoor::McpHttp, cost: CostSource::Reported, ..Capabilities::TEXT_ONLY };
        let waits = Waits { info: HarnessInfo::new("waits", capabilities), tell };
        let party = Party::builder(bus).harness(waits).folder(folder).format(format);
        let party = party.seat(Seat::new("Mary", "clerk")).start("Talk.").await?;
        Ok(Self { party, doors })
    }

    /// The door of the turn that runs; the turn ends when the sender is dropped.
    pub async fn door(&mut self) -> Open {
        self.doors.recv().await.expect("the harness lives with the party")
    }

    /// Lets another turn begin once the last one has ended.
    pub async fn again(&self) -> party_launch::Result<()> {
        self.party.at_rest().await?;
        self.party.post("And more.").await
    }

    /// Ends the party.
    pub async fn close(self) -> party_launch::Result<()> {
        self.party.shutdown().await
    }
}

/// A runtime that hands its door to whoever waits, and does nothing.
#[derive(Debug)]
struct Waits {
    info: HarnessInfo,
    tell: mpsc::UnboundedSender<Open>,
}

#[async_trait]
impl Harness for Waits {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe::new("1"))
    }

    async fn open(&self, _: RuntimeSpec, _: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        Ok(Arc::new(Waiting(self.tell.clone())))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Waiting(mpsc::UnboundedSender<Open>);

#[async_trait]
impl RuntimeSession for Waiting {
    fn state(&self) -> RuntimeState {
        RuntimeState { token: None, resumed: false, health: Health::Idle }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let (end, ended) = oneshot::channel::<()>();
        let endpoint = request.mcp.expect("the capabilities ask for it");
        let told = self.0.send((endpoint, end));
        told.map_err(|_| Error::new(ErrorKind::Closed, "the bench is over"))?;
        let events = stream::once(async move {
            let _dropped = ended.await;
            TurnEvent::Ended(TurnEnd {
                outcome: Outcome::Completed,
                text: None,
                usage: Usage::default(),
                cost: Cost::Reported(Usd::ZERO),
                reason: None,
                failure: None,
                sent: Sent::Full,
                token: None,
            })
        });
        Ok(Turn::new(events.boxed(), Arc::new(Deaf)))
    }

    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::NotSeen)
    }

    async fn close(&self, _: Close) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Deaf;

#[async_trait]
impl TurnControl for Deaf {
    async fn steer(&self, _: String) -> Result<Steered> {
        Ok(Steered::TooLate)
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        Ok(())
    }
}
