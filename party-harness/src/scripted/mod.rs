//! Scripted agents: what each does comes from a file, after a declared time, at a declared cost.
//!
//! They need no account and no network, and they say of themselves that they are scripted. All
//! agents of one [`Scripted`] share one timeline: what is due earlier comes earlier, whatever the
//! load of the machine, so that the same party gives the same log.
//!
//! A [`Script`] is YAML: for each agent a list of [`Step`]s, one per turn; the last repeats. What a
//! step names happens in this order, and nothing else does:
//!
//! ```
//! # let script = party_harness::scripted::Script::from_yaml(r#"
//! agents:
//!   Mary:
//!     - afterMs: 80                   # takes so long
//!       think: That is a good one.    # reasons
//!       share: 'I read: {question}'   # calls the tool `share` with this text
//!       calls:                        # calls tools of the host, one after another
//!         - { tool: look_up, arguments: { word: '{question}' } }
//!       ask: { tool: Bash, input: { command: ls } }   # uses a tool of its own; asks where it has to
//!       awaitSteer: true              # waits until it is told something more
//!       say: 'Found {reply}, told {steer}'            # says this last, and completes
//!       costUsd: 0.01                 # has cost this much
//!     - fail: the second turn never works             # instead of `say`
//!     - hang: true                    # instead of `say`: never ends by itself
//!     - {}                            # ends without a word
//! # "#)?;
//! # assert_eq!(script.names(), ["Mary"]);
//! # Ok::<(), party_harness::scripted::ScriptError>(())
//! ```
//!
//! In texts `{question}` is the oldest message that is new to the agent, `{reply}` what the last tool
//! answered, `{steer}` what it was told while it ran.
//!
//! An agent remembers how many turns it had, and is resumed by that. It calls only tools that the
//! turn lists. A turn that is interrupted, dropped or closed ends at once, also in the middle of a
//! call, and counts as one that it had.

mod script;

pub use script::{Call, Script, ScriptError, Step};

use crate::{
    Capabilities, CostSource, Error, ErrorKind, Harness, HarnessInfo, Permissions, Probe, Result,
    RuntimeSession, RuntimeSpec, ToolDoor, ToolPort,
    player::{Part, Parts, Player},
};
use async_trait::async_trait;
use std::sync::Arc;

/// A harness whose agents follow a [`Script`].
#[derive(Debug)]
pub struct Scripted(Player);

impl Scripted {
    /// A harness for the agents of `script`.
    pub fn new(script: Script) -> Self {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            own_tools: true,
            permissions: Permissions::Lost,
            steer: true,
            cost: CostSource::Reported,
            ..Capabilities::TEXT_ONLY
        };
        Self(Player::new(HarnessInfo::new("scripted", capabilities), script))
    }
}

impl Parts for Script {
    fn missing(&self, agent: &str) -> Option<Error> {
        let known = self.names().join(", ");
        let context = format!("no script for agent `{agent}`; there are scripts for: {known}");
        (!self.knows(agent)).then(|| Error::new(ErrorKind::Invalid, context))
    }

    fn part(&self, agent: &str, done: u64) -> Part {
        self.step(agent, done).part()
    }
}

#[async_trait]
impl Harness for Scripted {
    fn info(&self) -> &HarnessInfo {
        self.0.info()
    }

    async fn probe(&self) -> Result<Probe> {
        self.0.probe().await
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        self.0.open(spec, tools).await
    }

    async fn shutdown(&self) -> Result<()> {
        self.0.shutdown().await
    }
}
