//! What every request must pass before its body is read.

use super::admissions::{Admissions, Fingerprint};
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, AsHeaderName, HOST, ORIGIN, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) struct Guard {
    hosts: [String; 2],
    admissions: Arc<Admissions>,
    stop: CancellationToken,
}

impl Guard {
    pub(super) fn new(port: u16, admissions: Arc<Admissions>, stop: CancellationToken) -> Self {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        Self { hosts, admissions, stop }
    }

    /// A name that was made to point at loopback (DNS rebinding) shows in `Host`, a web page in
    /// `Origin`, which no agent runtime sends.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        let host = only(headers, HOST).and_then(|host| host.to_str().ok());
        let ours = host.is_some_and(|host| self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)));
        ours && !headers.contains_key(ORIGIN)
    }

    fn admitted(&self, headers: &HeaderMap) -> Option<Fingerprint> {
        let value = only(headers, AUTHORIZATION)?.to_str().ok()?;
        let (scheme, secret) = value.split_once(' ')?;
        let fingerprint = Fingerprint::of(secret.trim());
        let known = scheme.eq_ignore_ascii_case("bearer") && self.admissions.get(fingerprint).is_some();
        known.then_some(fingerprint)
    }
}

/// Cancelled when the client of a request has gone, or was answered.
#[derive(Clone)]
pub(super) struct HungUp(pub(super) CancellationToken);

/// The layer around every path, the unknown ones too.
pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if !guard.is_local(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(fingerprint) = guard.admitted(request.headers()) else {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    // Whoever prints a request further in prints no secret.
    request.headers_mut().remove(AUTHORIZATION);
    request.extensions_mut().insert(fingerprint);
    // The server drops this future with the connection.
    let hung_up = CancellationToken::new();
    request.extensions_mut().insert(HungUp(hung_up.clone()));
    let _told = hung_up.drop_guard();
    tokio::select! {
        response = next.run(request) => response,
        // Else a body that never ends would keep the server's task.
        () = guard.stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// A header given once; given twice, the parts of a chain could each believe another one.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
