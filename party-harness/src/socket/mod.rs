//! WebSockets to servers on this machine: over TCP to a loopback address, or over a Unix socket.
//!
//! ```text
//! Address::parse ──> Target ──connect──> Writer + Reader ──> Frame … SocketError
//!   (loopback only)    (bearer, limits)    (two halves: reading never waits for writing)
//! ```
//!
//! The upgrade offers no extension and names no `Origin`: servers of agent runtimes refuse both, the
//! second because it is the mark of a page in a browser. Nothing here encrypts, so a server elsewhere is
//! reached through a tunnel that ends on this machine.

mod address;
mod error;
mod link;
#[cfg(test)]
mod tests;

pub(crate) use address::{Address, Bearer};
pub(crate) use error::SocketError;
pub(crate) use link::{Frame, Reader, Text, Writer};

use link::Io;
use std::time::Duration;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        client::IntoClientRequest as _,
        http::{HeaderValue, Request, header},
        protocol::WebSocketConfig,
    },
};

/// What is connected to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: Address,
    /// Shown at the upgrade.
    pub(crate) bearer: Option<Bearer>,
    /// How large a message of the server may be, and each of its frames, in bytes.
    pub(crate) limit: usize,
    /// How long the connection and the upgrade may take together.
    pub(crate) patience: Duration,
}

impl Target {
    /// A server's address, without a token, with messages of up to 64 MiB and 10 s to connect.
    pub(crate) const fn new(address: Address) -> Self {
        Self { address, bearer: None, limit: 64 << 20, patience: Duration::from_secs(10) }
    }

    /// Connects and upgrades. Safe to cancel: what was begun is closed.
    pub(crate) async fn connect(&self) -> Result<(Writer, Reader), SocketError> {
        let connecting = Box::pin(self.upgrade());
        timeout(self.patience, connecting).await.map_err(|_| SocketError::Late(self.patience))?
    }

    async fn upgrade(&self) -> Result<(Writer, Reader), SocketError> {
        let io: Box<dyn Io> = match &self.address {
            Address::Tcp { at, .. } => {
                let stream = TcpStream::connect(at).await.map_err(SocketError::Unreachable)?;
                // Requests are small and answered at once.
                stream.set_nodelay(true).map_err(SocketError::Unreachable)?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(SocketError::Unreachable)?)
            }
        };
        let config =
            WebSocketConfig::default().max_message_size(Some(self.limit)).max_frame_size(Some(self.limit));
        let upgraded = client_async_with_config(self.request()?, io, Some(config)).await;
        let (stream, _) = upgraded.map_err(|error| SocketError::of(error, self.limit))?;
        Ok(link::halves(stream, self.limit))
    }

    fn request(&self) -> Result<Request<()>, SocketError> {
        let invalid = |what: &str| SocketError::Request(what.to_owned());
        let url = self.address.url();
        let mut request = url.into_client_request().map_err(|_| invalid("the address is no url"))?;
        if let Some(bearer) = &self.bearer {
            let value = HeaderValue::from_str(&format!("Bearer {}", bearer.reveal()));
            let mut value = value.map_err(|_| invalid("the token cannot stand in a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }
}
