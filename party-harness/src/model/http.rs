//! One call over HTTP: its answer as events, within limits of time and size.

use super::{
    endpoint,
    fault::{Again, Fault},
    hints,
    sse::Events,
    wire::Wire,
};
use crate::{Error, ErrorKind, Result};
use party_core::Failure;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// So much of an answer that is no event stream is read.
const MOST_REFUSAL: usize = 64 * 1024;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);

/// What bounds a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long the provider may send nothing.
    pub(super) idle: Duration,
    /// How long all of a call may take.
    pub(super) whole: Duration,
    /// How much an answer may hold.
    pub(super) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(5 * 60), whole: Duration::from_secs(30 * 60), bytes: 64 << 20 }
    }
}

/// The way to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    endpoint: Url,
    wire: Wire,
    limits: Limits,
}

impl Http {
    pub(super) fn new(wire: Wire, endpoint: Url, limits: Limits) -> Result<Self> {
        // A key follows no redirection, and a proxy for plain http could read it.
        let mut client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT);
        if endpoint.scheme() == "http" {
            client = client.no_proxy();
        }
        let failed = |error: reqwest::Error| {
            Error::new(ErrorKind::Launch, "the http client cannot be made").with_source(error)
        };
        let client = client.tls_backend_preconfigured(tls(&endpoint)?).build().map_err(failed)?;
        Ok(Self { client, endpoint, wire, limits })
    }

    pub(super) fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// Asks for the list of models, whose answer says whether the endpoint is there and takes the key.
    pub(super) async fn probe(&self, key: Option<HeaderValue>) -> Result<()> {
        let url = endpoint::join(&self.endpoint, &self.wire.models_path(), None);
        let sent = timeout(self.limits.idle.min(CONNECT * 2), self.keyed(self.client.get(url), key).send());
        let missing = |why: &str| {
            let context = format!("the model api at {} {why}", self.endpoint);
            Error::new(ErrorKind::Missing, context)
        };
        let response = sent.await.map_err(|_| missing("does not answer"))?;
        let response = response.map_err(|error| {
            missing("cannot be reached; is it running, and its address right?")
                .with_source(error.without_url())
        })?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(missing("does not accept the key; give another by `key` or `key_from`"))
            }
            // Not every server has the list.
            _ => Ok(()),
        }
    }

    /// Begins a call.
    pub(super) async fn ask(
        &self,
        model: &str,
        key: Option<HeaderValue>,
        body: Vec<u8>,
    ) -> Result<Answer, Fault> {
        let url = endpoint::join(&self.endpoint, &self.wire.path(model), self.wire.query());
        let request = self.keyed(self.client.post(url), key);
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream");
        let deadline = Instant::now() + self.limits.whole;
        let sent = timeout(self.limits.idle, request.body(body).send()).await;
        let response = sent.map_err(|_| Fault::silent(self.limits.idle))?.map_err(|error| unsent(&error))?;
        let status = response.status();
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if status == StatusCode::OK && kind.trim_start().starts_with("text/event-stream") {
            let (limits, events) = (self.limits, Events::new(self.limits.bytes));
            return Ok(Answer { response, limits, deadline, events, received: 0, has_ended: false });
        }
        Err(self.refusal(response).await)
    }

    fn keyed(&self, request: RequestBuilder, key: Option<HeaderValue>) -> RequestBuilder {
        let request = match self.wire.version_header() {
            Some((name, version)) => request.header(name, version),
            None => request,
        };
        match key {
            Some(key) => request.header(self.wire.key_header().0, key),
            None => request,
        }
    }

    /// What an answer says that is no event stream.
    async fn refusal(&self, mut response: Response) -> Fault {
        let (status, hint) = (response.status(), hints::wait(response.headers(), hints::now()));
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        let may_not = response.headers().get("x-should-retry").is_some_and(|may| may == "false");
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = MOST_REFUSAL - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() >= room {
                    break;
                }
            }
        };
        // What has come by then tells enough.
        let _ = timeout(self.limits.idle, reading).await;
        if status.is_success() {
            return not_a_stream(kind.as_ref(), &body);
        }
        let mut fault = Fault::refused(status.as_u16(), &body, hint);
        if may_not && !matches!(fault.again, Again::Less(_)) {
            fault.again = Again::Never;
        }
        fault
    }
}

/// The roots of the system, and the provider of this crate's own choice: what the host's process has as
/// its default does not matter.
fn tls(endpoint: &Url) -> Result<rustls::ClientConfig> {
    let failed = |error: rustls::Error| {
        let context = "tls cannot be set up; does this system have root certificates?";
        Error::new(ErrorKind::Launch, context).with_source(error)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    if endpoint.scheme() == "http" {
        // Never used; a system without roots can run a local model all the same.
        let none = rustls::RootCertStore::empty();
        return Ok(builder.with_root_certificates(none).with_no_client_auth());
    }
    Ok(builder.with_platform_verifier().map_err(failed)?.with_no_client_auth())
}

fn unsent(error: &reqwest::Error) -> Fault {
    if error.is_connect() {
        let why = cause(error);
        return Fault::new(
            Failure::NotStarted,
            format!("the provider cannot be reached: {why}"),
            Again::Soon,
        );
    }
    Fault::cut(format!("the connection broke before the answer came: {}", cause(error)))
}

/// The innermost cause, which tells what happened; the outer ones name the address.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    super::fault::said(&innermost.to_string())
}

/// A success that streams nothing: an error in disguise, or no model API.
fn not_a_stream(kind: Option<&HeaderValue>, body: &[u8]) -> Fault {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    if let Some(error) = error.and_then(|mut body| body.get_mut("error").map(serde_json::Value::take)) {
        return Fault::streamed(&error);
    }
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
    let kind = super::fault::said(kind);
    Fault::broken(format!("the answer is `{kind}` and no event stream; is the address that of a model api?"))
}

/// An answer that is being streamed. Dropped, it closes the connection.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
    limits: Limits,
    deadline: Instant,
    events: Events,
    received: usize,
    has_ended: bool,
}

impl Answer {
    /// The data of the next events; none at the end. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, Fault> {
        if self.has_ended {
            return Ok(None);
        }
        let idle = Instant::now() + self.limits.idle;
        let chunk = match timeout_at(idle.min(self.deadline), self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| {
                Fault::cut(format!("the connection broke in the middle of the answer: {}", cause(&error)))
            })?,
            Err(_) if idle <= self.deadline => return Err(Fault::silent(self.limits.idle)),
            Err(_) => {
                let whole = self.limits.whole.as_secs_f32();
                let reason = format!("the answer took longer than {whole} s");
                return Err(Fault::new(Failure::Idle, reason, Again::Never));
            }
        };
        let Some(chunk) = chunk else {
            self.has_ended = true;
            return Ok(self.events.finish().map(|last| vec![last]));
        };
        self.received += chunk.len();
        let too_long = || Fault::broken(format!("the answer is longer than {} bytes", self.limits.bytes));
        if self.received > self.limits.bytes {
            return Err(too_long());
        }
        self.events.feed(&chunk).map(Some).map_err(|_| too_long())
    }
}
