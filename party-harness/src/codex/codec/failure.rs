//! What kind of failure it was.

use super::frame::{Trouble, plain};
use crate::jsonl::view::Json;
use party_core::Failure;

/// Of an error: by the server's own word, by the provider's status, by the text, in this order.
pub(super) fn of(trouble: &Trouble<'_>) -> Failure {
    let info = trouble.codex_error_info;
    let named = info.and_then(name).and_then(named);
    named.or_else(|| info.and_then(status).and_then(by_status)).unwrap_or_else(|| {
        let text = trouble.message.and_then(Json::string).unwrap_or_default();
        by_words(&text)
    })
}

/// The status of the provider that an error names.
pub(super) fn status(info: Json<'_>) -> Option<u64> {
    let fields = info.fields();
    let (_, details) = fields.iter().next()?;
    details.field("httpStatusCode")?.u64()
}

/// The error's name: a text, or the only field of an object.
fn name(info: Json<'_>) -> Option<&str> {
    plain(info).or_else(|| info.fields().iter().next().map(|(name, _)| name))
}

fn named(name: &str) -> Option<Failure> {
    Some(match name {
        "unauthorized" => Failure::Unauthenticated,
        "usageLimitExceeded" | "rateLimitExceeded" => Failure::RateLimited,
        "internalServerError" | "serverOverloaded" | "flexUnavailable" => Failure::Overloaded,
        "contextWindowExceeded" => Failure::TooLong,
        "sessionBudgetExceeded" => Failure::OverBudget,
        "modelNotFound" | "badRequest" | "cyberPolicy" | "misalignmentPolicyViolation" => Failure::Rejected,
        _ => return None,
    })
}

fn by_status(status: u64) -> Option<Failure> {
    Some(match status {
        401 | 403 => Failure::Unauthenticated,
        429 => Failure::RateLimited,
        400..=499 => Failure::Rejected,
        500..=599 => Failure::Overloaded,
        _ => return None,
    })
}

/// Only texts that were seen count.
fn by_words(text: &str) -> Failure {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // A provider's answer that was not worth repeating stands there as it came.
    let is_body = text.starts_with('{') && text.contains("\"error\"");
    if is_body || says(&["unexpected status 400", "unexpected status 404"]) {
        Failure::Rejected
    } else if says(&["stream disconnected", "idle timeout", "error sending request", "network"]) {
        Failure::Overloaded
    } else {
        Failure::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_as_the_server_words_them() {
        for (error, kind) in [
            (r#"{"codexErrorInfo":"usageLimitExceeded"}"#, Failure::RateLimited),
            (
                r#"{"codexErrorInfo":{"httpConnectionFailed":{"httpStatusCode":401}}}"#,
                Failure::Unauthenticated,
            ),
            (
                r#"{"codexErrorInfo":{"responseTooManyFailedAttempts":{"httpStatusCode":429}}}"#,
                Failure::RateLimited,
            ),
            (r#"{"codexErrorInfo":{"activeTurnNotSteerable":{"turnKind":"review"}}}"#, Failure::Other),
            (r#"{"codexErrorInfo":"other","message":"stream disconnected before"}"#, Failure::Overloaded),
            (r#"{"codexErrorInfo":"new","message":"hm"}"#, Failure::Other),
            (r#"{"codexErrorInfo":[7],"message":null}"#, Failure::Other),
        ] {
            assert_eq!(of(&serde_json::from_str(error).unwrap()), kind, "{error}");
        }
    }
}
