//! Fakes that stand in for model providers in tests, and servers that tests and benches start.
//!
//! [`FakeModel`] speaks the APIs of Anthropic, OpenAI and Google on a free loopback port and answers from a
//! [`Scenario`]. [`claude_env`] is the cleared environment in which the real Claude Code binary meets it.
//! [`postgres::Cluster`] is a real PostgreSQL server of one's own. [`Traces`] hears what code traces.
//!
//! ```
//! use test_support::{FakeModel, ModelTurn, Scenario};
//!
//! # tokio::runtime::Runtime::new().expect("runtime").block_on(async {
//! let scenario = Scenario::new().turn(ModelTurn::text("Hello.").when("greet me"));
//! let fake = FakeModel::start(scenario).await;
//! assert!(fake.base_url().starts_with("http://127.0.0.1:"));
//! assert!(fake.requests().is_empty());
//! # });
//! ```

mod answer;
mod block;
mod claude;
mod codex;
mod dialect;
mod gate;
mod kept;
mod log;
mod openclaw;
mod playing;
pub mod postgres;
mod queue;
mod scenario;
mod server;
mod traces;
mod wire;

pub use block::{Block, SseError};
pub use claude::{ClaudeVersion, claude_binary, claude_env};
pub use codex::codex_binary;
pub use gate::Gate;
pub use kept::KeptFolder;
pub use openclaw::{openclaw_env, openclaw_models, openclaw_programs};
pub use scenario::{ModelTurn, OneOrMany, Scenario};
pub use server::FakeModel;
pub use traces::Traces;
