//! What kind of failure it was.

use party_core::Failure;

/// By the gateway's own word for it.
pub(super) fn named(reason: &str) -> Option<Failure> {
    Some(match reason {
        "auth" | "auth_permanent" | "billing" | "session_expired" => Failure::Unauthenticated,
        "rate_limit" => Failure::RateLimited,
        "overloaded" | "server_error" | "timeout" => Failure::Overloaded,
        "format" | "model_not_found" => Failure::Rejected,
        "context_overflow" => Failure::TooLong,
        _ => return None,
    })
}

/// By its words, where the gateway has no word for it. Only texts that were seen count.
pub(super) fn of(text: &str) -> Failure {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["http 401", "http 403", "is temporarily disabled", "authentication"]) {
        Failure::Unauthenticated
    } else if says(&["http 429", "rate limit", "rate_limit"]) {
        Failure::RateLimited
    } else if says(&["context overflow", "context window", "prompt is too long", "too large for the model"]) {
        Failure::TooLong
    } else if says(&["http 5", "internal error", "overloaded", "ended before completion"]) {
        Failure::Overloaded
    } else if says(&["unknown model", "http 400", "http 404", "not supported", "rejected the request"]) {
        Failure::Rejected
    } else {
        Failure::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_as_the_gateway_words_them() {
        let kinds = [
            ("⚠️ fake/m1 request failed (provider internal error, HTTP 500).", Failure::Overloaded),
            ("Inline API key for provider \"fake\" is temporarily disabled", Failure::Unauthenticated),
            ("Unknown model: nope/zzz. Run `openclaw models list`", Failure::Rejected),
            ("⚠️ Agent couldn't generate a response.", Failure::Other),
        ];
        for (text, kind) in kinds {
            assert_eq!(of(text), kind, "{text}");
        }
        assert_eq!((named("rate_limit"), named("new_reason")), (Some(Failure::RateLimited), None));
    }
}
