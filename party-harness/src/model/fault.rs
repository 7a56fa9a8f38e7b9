//! What can go wrong with a model call, of which kind it is, and whether to try again.

use party_core::Failure;
use serde_json::Value;
use std::time::Duration;

/// So much of what a provider says is told.
const MOST_SAID: usize = 300;

/// Why a model call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) failure: Failure,
    /// In one line.
    pub(super) reason: String,
    pub(super) again: Again,
}

/// Whether the same call may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// Soon.
    Soon,
    /// Not before the provider's own time.
    After(Duration),
    /// At once, if it asks for less.
    Less(Less),
}

/// What a model cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Less {
    /// To call a tool: it is left to the model.
    Force,
    /// To reason where it is offered tools.
    Reasoning,
}

impl Fault {
    pub(super) fn new(failure: Failure, reason: impl Into<String>, again: Again) -> Self {
        Self { failure, reason: reason.into(), again }
    }

    /// The provider said what cannot be; another try says it again.
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self::over(Failure::Other, reason)
    }

    /// What may not go on, whoever says so.
    pub(super) fn over(failure: Failure, reason: impl Into<String>) -> Self {
        Self::new(failure, reason, Again::Never)
    }

    pub(super) fn garbage(data: &str) -> Self {
        Self::broken(format!("the answer cannot be read as JSON: {}", said(data)))
    }

    /// The stream ended before the answer did.
    pub(super) fn cut(reason: impl Into<String>) -> Self {
        Self::new(Failure::Died, reason, Again::Soon)
    }

    pub(super) fn silent(after: Duration) -> Self {
        let reason = format!("the provider sent nothing for {} s", after.as_secs_f32());
        Self::new(Failure::Idle, reason, Again::Soon)
    }

    /// An error in the middle of a stream, or in the place of one.
    pub(super) fn streamed(error: &Value) -> Self {
        let refusal = Refusal::read(&error["code"], error);
        refusal.fault(refusal.status_of_kind(), None)
    }

    /// An answer with another status than 200, with what its headers say of when to come again.
    pub(super) fn refused(status: u16, body: &[u8], hint: Option<Duration>) -> Self {
        let body: Value = serde_json::from_slice(body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
        // Google's errors come in lists too.
        let body = body.get(0).unwrap_or(&body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let hint = hint.or_else(|| in_details(error));
        Refusal::read(&error["code"], error).fault(status, hint)
    }
}

/// What a provider says for its refusal.
struct Refusal {
    /// Its names of the kind, in lower case: type, code, status.
    kinds: String,
    message: String,
}

impl Refusal {
    fn read(code: &Value, error: &Value) -> Self {
        let names = [&error["type"], code, &error["status"], &error["details"][0]["reason"]];
        let kinds: Vec<String> = names.iter().map(|name| plain(name).to_lowercase()).collect();
        let message = match error {
            Value::String(text) => text.clone(),
            error => plain(&error["message"]),
        };
        Self { kinds: kinds.join(" "), message }
    }

    fn is(&self, kinds: &[&str]) -> bool {
        kinds.iter().any(|kind| self.kinds.contains(kind))
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    /// The status that such an error has where it comes before the stream.
    fn status_of_kind(&self) -> u16 {
        const KINDS: [(&[&str], u16); 8] = [
            (&["overloaded", "unavailable"], 529),
            (&["rate_limit", "resource_exhausted", "insufficient_quota", "429"], 429),
            (&["authentication", "permission", "unauthenticated", "invalid_api_key"], 401),
            (&["not_found", "model_not_found"], 404),
            (&["context_length", "request_too_large"], 413),
            (&["billing"], 402),
            (&["invalid_request", "invalid_argument", "failed_precondition"], 400),
            (&["503"], 503),
        ];
        KINDS.iter().find(|(kinds, _)| self.is(kinds)).map_or(500, |(_, status)| *status)
    }

    fn fault(&self, status: u16, hint: Option<Duration>) -> Fault {
        let wait = hint.map_or(Again::Soon, Again::After);
        let told = |what: &str| match said(&self.message) {
            message if message.is_empty() => format!("{what} (status {status})"),
            message => format!("{what} (status {status}): {message}"),
        };
        let (failure, what, again) = match status {
            _ if self.is_too_long(status) => {
                (Failure::TooLong, "the conversation is too long for the model", Again::Never)
            }
            _ if self.is_spent(status) => {
                let what = "the account's credit or quota is used up; look at its billing";
                (Failure::RateLimited, what, Again::Never)
            }
            // What the provider says of a key may show a part of it.
            _ if self.is_unknown(status) => {
                let what = format!("the provider does not accept the key (status {status}); give it another");
                return Fault::new(Failure::Unauthenticated, what, Again::Never);
            }
            429 => (Failure::RateLimited, "the provider limits the key's rate", wait),
            503 | 529 => (Failure::Overloaded, "the provider is overloaded", wait),
            404 => (Failure::Rejected, "the provider does not know the model or the address", Again::Never),
            408 | 425 | 500..=599 => (Failure::Other, "the provider failed", wait),
            300..=399 => {
                (Failure::Rejected, "the address leads elsewhere; give the one it leads to", Again::Never)
            }
            _ => {
                let again = self.less().map_or(Again::Never, Again::Less);
                (Failure::Rejected, "the provider refused the request", again)
            }
        };
        Fault::new(failure, told(what), again)
    }

    /// What the provider would rather not be asked for, as it says.
    fn less(&self) -> Option<Less> {
        if self.says(&["tool_choice", "tool choice", "forced tool", "forces tool"]) {
            Some(Less::Force)
        } else if self.says(&["reasoning_effort"]) && self.says(&["tools"]) {
            Some(Less::Reasoning)
        } else {
            None
        }
    }

    fn is_too_long(&self, status: u16) -> bool {
        const WORDS: [&str; 5] = [
            "prompt is too long",
            "maximum context length",
            "context window",
            "exceeds the maximum number of tokens",
            "input is too long",
        ];
        status == 413 || self.is(&["context_length"]) || (status == 400 && self.says(&WORDS))
    }

    /// Waiting does not help.
    fn is_spent(&self, status: u16) -> bool {
        let words = ["credit balance", "insufficient balance", "exceeded your current quota, please check"];
        let by_words = matches!(status, 400 | 429) && self.says(&words);
        // A quota of Google's per minute is told in nearly the same words, with a time to come again.
        let is_google = self.is(&["resource_exhausted"]);
        status == 402 || self.is(&["insufficient_quota", "billing"]) || (by_words && !is_google)
    }

    fn is_unknown(&self, status: u16) -> bool {
        matches!(status, 401 | 403) || (status == 400 && self.is(&["api_key_invalid", "invalid_api_key"]))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Google's `"retryDelay": "37s"`.
fn in_details(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    super::hints::seconds(delay.strip_suffix('s')?)
}

/// What somebody said, in one line and not too long.
pub(super) fn said(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MOST_SAID {
            let end = (0..=MOST_SAID).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use Again::{After, Never, Soon};
    use Failure::{Other, Overloaded, RateLimited, Rejected, TooLong, Unauthenticated};

    fn kind(status: u16, body: &str) -> (Failure, Again) {
        let fault = Fault::refused(status, body.as_bytes(), None);
        assert!(!fault.reason.contains('\n') && fault.reason.len() < 500, "{}", fault.reason);
        (fault.failure, fault.again)
    }

    #[test]
    fn a_refusal_is_of_the_kind_that_its_provider_says() {
        let quota = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"x"}}"#;
        let limit = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
        let long =
            r#"{"error":{"code":"context_length_exceeded","type":"invalid_request_error","message":"m"}}"#;
        let prompt = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#;
        let credit =
            r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#;
        let key = r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid",
            "details":[{"reason":"API_KEY_INVALID"}]}}]"#;
        let choice =
            r#"{"error":{"type":"invalid_request_error","message":"tool_choice: any is not supported"}}"#;
        let effort = r#"{"error":{"type":"invalid_request_error","param":"reasoning_effort","message":"Function tools with
            reasoning_effort are not supported for m in /v1/chat/completions."}}"#.replace('\n', " ");
        let cases = [
            (400, r#"{"error":{"message":"bad"}}"#, (Rejected, Never)),
            (400, &effort, (Rejected, Again::Less(Less::Reasoning))),
            (400, long, (TooLong, Never)),
            (400, prompt, (TooLong, Never)),
            (400, credit, (RateLimited, Never)),
            (400, key, (Unauthenticated, Never)),
            (400, choice, (Rejected, Again::Less(Less::Force))),
            (401, "", (Unauthenticated, Never)),
            (402, "{}", (RateLimited, Never)),
            (403, "<html>", (Unauthenticated, Never)),
            (404, r#"{"error":"model 'x' not found"}"#, (Rejected, Never)),
            (413, "", (TooLong, Never)),
            (429, quota, (RateLimited, Never)),
            (429, limit, (RateLimited, Soon)),
            (500, "boom", (Other, Soon)),
            (503, "", (Overloaded, Soon)),
            (529, "", (Overloaded, Soon)),
            (302, "", (Rejected, Never)),
            (418, "[]", (Rejected, Never)),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn google_says_when_to_come_again() {
        let body = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":
            "You exceeded your current quota, please check your plan","details":[{"retryDelay":"37.5s"}]}}"#;
        let expected = (RateLimited, After(Duration::from_millis(37_500)));
        let fault = Fault::refused(429, body.as_bytes(), None);
        assert_eq!((fault.failure, fault.again), expected, "{}", fault.reason);
    }

    #[test]
    fn an_error_in_a_stream_is_of_the_same_kind() {
        let of = |text: &str| Fault::streamed(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"type":"overloaded_error","message":"o"}"#).failure, Overloaded);
        assert_eq!(of(r#"{"type":"rate_limit_error"}"#).failure, RateLimited);
        assert_eq!(of(r#"{"code":503,"status":"UNAVAILABLE"}"#).failure, Overloaded);
        assert_eq!(of(r#""server_error""#).failure, Other);
        assert_eq!(of("null").again, Soon);
    }

    #[test]
    fn what_a_provider_says_of_a_key_is_not_told() {
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-ab***yz"}}"#;
        assert!(!Fault::refused(401, body.as_bytes(), None).reason.contains("sk-ab"));
    }
}
