//! The host's MCP server: the door by which a runtime in another process reaches a [`ToolPort`].
//!
//! One server per party, on loopback, Streamable HTTP without sessions. Every attempt at a turn has
//! a secret of its own, and the secret alone says whose call it is.
//!
//! ```text
//! runtime ──POST /mcp──> guard: Host, Origin, secret ──> door: this attempt's tools ──> ToolPort
//! ```

mod admissions;
mod door;
mod guard;
#[cfg(test)]
mod tests;

use admissions::{Admissions, Fingerprint, Grant};
use axum::{Router, middleware::from_fn_with_state};
use guard::Guard;
use party_harness::{McpEndpoint, ToolPort, ToolSpec, TurnKey};
use std::{fmt, future::IntoFuture, io, net::Ipv4Addr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const NAME: &str = "party";
const PATH: &str = "/mcp";

/// The server of one party. Dropped, it lets nobody in, drops the calls in flight and ends its task.
pub(crate) struct McpServer {
    admissions: Arc<Admissions>,
    port: u16,
    _stop: DropGuard,
}

impl McpServer {
    /// Listens on a free loopback port.
    pub(crate) async fn start() -> Result<Self, io::Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let admissions = Arc::<Admissions>::default();
        let stop = CancellationToken::new();
        let guard = Arc::new(Guard::new(port, Arc::clone(&admissions), stop.clone()));
        let router = Router::new()
            .route_service(PATH, door::service(&admissions, &stop))
            .layer(from_fn_with_state(guard, guard::check));
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(serving.into_future());
        Ok(Self { admissions, port, _stop: stop.drop_guard() })
    }

    /// Lets one attempt in: a fresh secret, these tools and no others, calls go to `port`.
    pub(crate) fn admit(&self, key: TurnKey, tools: Vec<ToolSpec>, port: Arc<dyn ToolPort>) -> Admission {
        let secret = fresh_secret();
        let fingerprint = Fingerprint::of(&secret);
        self.admissions.add(fingerprint, Grant::new(key, tools, port));
        let url = format!("http://{}:{}{PATH}", Ipv4Addr::LOCALHOST, self.port);
        let endpoint = McpEndpoint { name: NAME.to_owned(), url, secret };
        Admission { admissions: Arc::clone(&self.admissions), fingerprint, endpoint }
    }
}

impl Drop for McpServer {
    /// Connections end a moment later; no secret is good for even that moment.
    fn drop(&mut self) {
        self.admissions.clear();
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer").field("port", &self.port).finish_non_exhaustive()
    }
}

/// One attempt's leave to call. Dropped, its secret is revoked at once; a call that was handed to
/// the port before is still answered.
pub(crate) struct Admission {
    admissions: Arc<Admissions>,
    fingerprint: Fingerprint,
    endpoint: McpEndpoint,
}

impl Admission {
    /// Where the attempt's runtime calls, and with which secret.
    pub(crate) fn endpoint(&self) -> McpEndpoint {
        self.endpoint.clone()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.admissions.remove(self.fingerprint);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// 256 bits in hex, 244 of them random: a v4 UUID has six that are fixed.
fn fresh_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
