//! The suite that every harness has to pass, for those that run a real binary against a fake model.

mod claude;
mod codex;
mod mcp;
mod openclaw;
#[path = "../openclaw_gateway/mod.rs"]
mod openclaw_gateway;
#[path = "../stages/mod.rs"]
mod stages;

/// A process per turn.
mod one_shot {
    use crate::claude::ClaudeStage;
    use party_harness::{claude_code::ClaudeCode, harness_conformance};
    use test_support::ClaudeVersion;

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ClaudeStage {
        ClaudeStage::new(ClaudeVersion::Current, ClaudeCode::new)
    }

    harness_conformance!(make);
}

/// The same with the version that npm installs beside an older Node.
mod one_shot_older {
    use crate::claude::ClaudeStage;
    use party_harness::{claude_code::ClaudeCode, harness_conformance};
    use test_support::ClaudeVersion;

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ClaudeStage {
        ClaudeStage::new(ClaudeVersion::Older, ClaudeCode::new)
    }

    harness_conformance!(make);
}

/// A process for many turns.
mod persistent {
    use crate::claude::ClaudeStage;
    use party_harness::{claude_code::ClaudeCode, harness_conformance};
    use test_support::ClaudeVersion;

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ClaudeStage {
        ClaudeStage::new(ClaudeVersion::Current, |program| ClaudeCode::new(program).persistent())
    }

    harness_conformance!(make);
}

/// The same with the older version.
mod persistent_older {
    use crate::claude::ClaudeStage;
    use party_harness::{claude_code::ClaudeCode, harness_conformance};
    use test_support::ClaudeVersion;

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ClaudeStage {
        ClaudeStage::new(ClaudeVersion::Older, |program| ClaudeCode::new(program).persistent())
    }

    harness_conformance!(make);
}

/// One server for all seats.
mod codex_server {
    use crate::codex::CodexStage;
    use party_harness::harness_conformance;

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> CodexStage {
        CodexStage::new()
    }

    harness_conformance!(make);
}

/// All on one gateway.
mod openclaw_shared {
    use crate::openclaw::OpenClawStage;
    use party_harness::harness_conformance;

    async fn make() -> OpenClawStage {
        OpenClawStage::new().await
    }

    harness_conformance!(make);
}
