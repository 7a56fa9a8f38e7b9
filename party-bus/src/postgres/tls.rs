//! Between our trait for TLS and the driver's.

use super::options::{Channel, Tls};
use futures::future::BoxFuture;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};

#[derive(Clone)]
pub(super) struct Maker(pub(super) Arc<dyn Tls>);

pub(super) struct Connector {
    tls: Arc<dyn Tls>,
    host: String,
}

pub(super) struct Secure(Box<dyn Channel>);

impl MakeTlsConnect<Socket> for Maker {
    type Stream = Secure;
    type TlsConnect = Connector;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connector> {
        Ok(Connector { tls: Arc::clone(&self.0), host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for Connector {
    type Stream = Secure;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secure>>;

    fn connect(self, plain: Socket) -> Self::Future {
        Box::pin(async move { self.tls.secure(&self.host, Box::new(plain)).await.map(Secure) })
    }
}

impl TlsStream for Secure {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
