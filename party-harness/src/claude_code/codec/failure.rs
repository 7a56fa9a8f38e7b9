//! What kind of failure it was: decided from what machines read, not from words.

use super::{Decoder, Status, outcome::Outcome};
use party_core::Failure;

impl Decoder {
    pub(super) fn failure(&self, status: Status) -> Option<Failure> {
        match status {
            Status::Completed | Status::Empty | Status::Cancelled => None,
            Status::Poisoned => Some(Failure::Poisoned),
            Status::NotStarted | Status::Refused => Some(Failure::NotStarted),
            Status::Repeated => Some(Failure::Other),
            Status::Failed => Some(match &self.last {
                Some(last) if !self.in_turn => self.told(last),
                _ => Failure::Died,
            }),
        }
    }

    fn told(&self, last: &Outcome) -> Failure {
        let reason = last.terminal_reason.as_deref().and_then(by_reason);
        reason
            .or_else(|| last.subtype.as_deref().and_then(by_subtype))
            .or_else(|| self.error.as_deref().and_then(by_error))
            .or_else(|| last.api_error.as_deref().and_then(by_error))
            .or_else(|| last.api_status.and_then(by_status))
            .unwrap_or(Failure::Other)
    }
}

fn by_reason(reason: &str) -> Option<Failure> {
    Some(match reason {
        "max_turns" => Failure::StepLimit,
        "budget_exhausted" => Failure::OverBudget,
        // The last two: there is no room for another step, and compaction does not make enough.
        "prompt_too_long" | "blocking_limit" | "rapid_refill_breaker" => Failure::TooLong,
        "image_error" => Failure::Rejected,
        _ => return None,
    })
}

fn by_subtype(subtype: &str) -> Option<Failure> {
    Some(match subtype {
        "error_max_turns" => Failure::StepLimit,
        "error_max_budget_usd" => Failure::OverBudget,
        _ => return None,
    })
}

/// Of the CLI's own classes; those that do not tell enough are left to the status.
fn by_error(error: &str) -> Option<Failure> {
    Some(match error {
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "billing_error"
        | "cloud_credential_error" => Failure::Unauthenticated,
        "rate_limit" | "usage_limit_reached" => Failure::RateLimited,
        "overloaded" => Failure::Overloaded,
        "invalid_request" | "model_not_found" => Failure::Rejected,
        _ => return None,
    })
}

fn by_status(status: u64) -> Option<Failure> {
    Some(match status {
        401..=403 => Failure::Unauthenticated,
        413 => Failure::TooLong,
        429 => Failure::RateLimited,
        529 => Failure::Overloaded,
        400..=499 => Failure::Rejected,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: Option<&str>, last: Outcome) -> Failure {
        let decoder = Decoder { error: error.map(str::to_owned), ..Decoder::new() };
        decoder.told(&last)
    }

    #[test]
    fn the_most_telling_field_decides() {
        let reason = |reason: &str| Outcome { terminal_reason: Some(reason.into()), ..Outcome::default() };
        let status = |status| Outcome { api_status: Some(status), ..reason("api_error") };
        let too_long = Outcome { api_status: Some(400), ..reason("prompt_too_long") };
        assert_eq!(failure(Some("invalid_request"), too_long), Failure::TooLong);
        assert_eq!(failure(Some("server_error"), status(529)), Failure::Overloaded);
        assert_eq!(failure(Some("billing_error"), status(400)), Failure::Unauthenticated);
        assert_eq!(failure(None, status(404)), Failure::Rejected);
        assert_eq!(failure(Some("server_error"), status(500)), Failure::Other);
        let limit = Outcome { api_error: Some("usage_limit_reached".into()), ..reason("api_error") };
        assert_eq!(failure(Some("unknown"), limit), Failure::RateLimited);
        let budget = Outcome { subtype: Some("error_max_budget_usd".into()), ..Outcome::default() };
        assert_eq!(failure(None, budget), Failure::OverBudget);
    }
}
