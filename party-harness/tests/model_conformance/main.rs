//! The suite that every harness has to pass, for each wire of the model APIs against a fake provider.

mod heard;
mod stage;
#[path = "../stages/mod.rs"]
mod stages;

/// Anthropic's Messages.
mod anthropic {
    use crate::stage::ModelStage;
    use party_harness::{harness_conformance, model::ModelApi};

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ModelStage {
        ModelStage::new(|url| ModelApi::anthropic().at(url).key("sk-test"))
    }

    harness_conformance!(make);
}

/// Gemini's `generateContent`.
mod gemini {
    use crate::stage::ModelStage;
    use party_harness::{harness_conformance, model::ModelApi};

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ModelStage {
        ModelStage::new(|url| ModelApi::gemini().at(url).key("sk-test"))
    }

    harness_conformance!(make);
}

/// OpenAI's chat completions.
mod openai {
    use crate::stage::ModelStage;
    use party_harness::{harness_conformance, model::ModelApi};

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ModelStage {
        ModelStage::new(|url| ModelApi::openai().at(format!("{url}/v1")).key("sk-test"))
    }

    harness_conformance!(make);
}

/// OpenAI's responses.
mod openai_responses {
    use crate::stage::ModelStage;
    use party_harness::{harness_conformance, model::ModelApi};

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ModelStage {
        ModelStage::new(|url| ModelApi::openai_responses().at(format!("{url}/v1")).key("sk-test"))
    }

    harness_conformance!(make);
}

/// A server on this machine, without a key.
mod ollama {
    use crate::stage::ModelStage;
    use party_harness::{harness_conformance, model::ModelApi};

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> ModelStage {
        ModelStage::new(|url| ModelApi::ollama().at(format!("{url}/v1")))
    }

    harness_conformance!(make);
}
