//! Parties for a host application: several agents and people in one durable conversation.
//!
//! A [`Party`] joins a bus, a format and the runtimes of its seats. Everything that happens is on
//! the log before anybody acts on it, so a party that is killed goes on where it was.
//!
//! ```
//! use party_launch::{Party, Seat};
//! use party_launch::{bus::MemoryBus, formats::Format, harness::scripted::{Script, Scripted, Step}};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let script = Script::default()
//!     .agent("Mary", [Step::say(20, "Ship it.")])
//!     .agent("Maat", [Step::say(20, "Shipping is settled.")]);
//! let party = Party::builder(Arc::new(MemoryBus::new()))
//!     .harness(Scripted::new(script))
//!     .format(Format::council())
//!     .seat(Seat::new("Mary", "persona").prompt("You think of users first."))
//!     .seat(Seat::new("Maat", "judge").prompt("You weigh arguments."))
//!     .start("Should we ship?")
//!     .await?;
//! let mut feed = party.feed();
//! while let Some(said) = feed.next().await? {
//!     println!("{}: {}", said.author, said.text());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Tools of the host
//! An intent of the format lists by name what its agents may call; a [`Tool`] is what answers.
//!
//! ```
//! use party_launch::{Party, Seat, Tool};
//! use party_launch::{bus::MemoryBus, formats::Format, harness::scripted::{Call, Script, Scripted, Step}};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let format = Format::from_yaml("
//! name: stock
//! roles: { clerk: { intent: answer } }
//! intents: { answer: { tools: [stock] } }
//! ")?;
//! let schema = serde_json::json!({ "type": "object", "properties": { "sku": { "type": "string" } } });
//! let stock = Tool::new("stock", "How many of an article are left.", schema, |arguments, call| async move {
//!     let sku = arguments["sku"].as_str().ok_or("which article?")?;
//!     Ok(format!("{} asks: 3 of {sku} are left", call.agent).into())
//! });
//! let calls = Step {
//!     calls: vec![Call { tool: "stock".into(), arguments: serde_json::json!({ "sku": "A-7" }) }],
//!     ..Step::say(5, "Three.")
//! };
//! let party = Party::builder(Arc::new(MemoryBus::new()))
//!     .harness(Scripted::new(Script::default().agent("Ada", [calls])))
//!     .format(format)
//!     .seat(Seat::new("Ada", "clerk"))
//!     .tool(stock.idempotent())
//!     .start("Is A-7 in stock?")
//!     .await?;
//! party.at_rest().await?;
//! # party.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Where to look: [`formats::Format`] for roles and rounds, [`harness::scripted`] and
//! [`harness::claude_code`] for runtimes, [`bus`] for stores (`SqliteBus` with `party-bus`'s feature
//! `sqlite`), [`Transcript`] for what people read.
//!
//! A message reaches an agent with its next turn: a running one is never changed. Steering
//! ([`harness::TurnControl::steer`]) is for a host that runs a harness by itself.
//!
//! # What happens when
//! * The host is killed: [`PartyBuilder::resume`] goes on. What was acknowledged stays; an attempt
//!   that was lost is made again, and a tool call it had made does not take effect twice.
//! * It is killed while a tool of its own runs: the tool runs again where it is
//!   [idempotent](HostTool::is_idempotent); else the agent is told that the outcome is unknown.
//! * The host stops: [`Party::shutdown`], or dropping the handle, ends the running attempts and
//!   leaves the session resumable.
//! * The store is full or out of reach: what was to be written is held and tried again, so that no
//!   turn is paid for twice; [`Party::failing`] tells. Nothing else happens meanwhile.
//! * A runtime asks whether it may use a tool of its own: the question is on the log and among
//!   [`formats::Engine::questions`], until somebody answers it ([`Party::answer`]) or its turn's
//!   timeout has passed.
//! * Somebody stops the party: [`Party::stop`] closes the session; what was said is kept.

mod attempt;
mod builder;
mod capable;
mod driver;
mod environment;
mod error;
mod feed;
mod genesis;
mod lease;
mod log;
mod mcp;
mod party;
mod patience;
mod persona;
mod request;
mod seat;
mod tool;
mod transcript;
mod view;

pub use builder::PartyBuilder;
pub use environment::base_environment;
pub use error::{Error, ErrorKind, Result};
pub use feed::Feed;
pub use genesis::Seat;
pub use party::Party;

pub use persona::{Persona, PersonaError, PersonaErrorKind, PersonaRole, Roster};
pub use tool::{BoxError, CallContext, HostTool, Tool};
pub use transcript::{Said, Transcript};

/// What [`HostTool`] is implemented with.
pub use async_trait::async_trait;
pub use party_bus as bus;
pub use party_core as core;
pub use party_formats as formats;
pub use party_harness as harness;
