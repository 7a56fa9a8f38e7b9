//! The two halves of a connection.

use super::SocketError;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// A message that is text; cheap to clone.
pub(crate) use tokio_tungstenite::tungstenite::Utf8Bytes as Text;

/// Bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Stream = WebSocketStream<Box<dyn Io>>;

pub(super) fn halves(stream: Stream, limit: usize) -> (Writer, Reader) {
    let (sink, stream) = stream.split();
    (Writer { sink, limit }, Reader { stream, limit })
}

/// Something that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message, as text.
    Text(Text),
    /// A message of this many bytes that is no text; nobody here speaks so.
    Binary(usize),
    /// It is alive: a ping of its own, answered by itself, or the answer to one.
    Alive,
}

/// The half that speaks.
pub(crate) struct Writer {
    sink: SplitSink<Stream, Message>,
    limit: usize,
}

impl Writer {
    /// Sends a message. Waits while the server does not read; dropped meanwhile, the connection is of
    /// no more use.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), SocketError> {
        self.write(Message::text(text)).await
    }

    /// Asks for a sign of life: [`Frame::Alive`].
    pub(crate) async fn ping(&mut self) -> Result<(), SocketError> {
        self.write(Message::Ping(Default::default())).await
    }

    /// Takes leave. The server may close by itself, or not.
    pub(crate) async fn close(&mut self) {
        let _ = self.sink.close().await;
    }

    async fn write(&mut self, message: Message) -> Result<(), SocketError> {
        self.sink.send(message).await.map_err(|error| SocketError::of(error, self.limit))
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// The half that listens. It has to be read for pings to be answered.
pub(crate) struct Reader {
    stream: SplitStream<Stream>,
    limit: usize,
}

impl Reader {
    /// What comes next; after an error nothing more does. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Frame, SocketError> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(Frame::Text(text)),
            Some(Ok(Message::Binary(bytes))) => Ok(Frame::Binary(bytes.len())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Frame::Alive),
            Some(Ok(Message::Close(Some(close)))) => Err(SocketError::Closed {
                code: Some(close.code.into()),
                why: close.reason.as_str().to_owned(),
            }),
            Some(Ok(Message::Close(None))) | None => Err(SocketError::end()),
            Some(Err(error)) => Err(SocketError::of(error, self.limit)),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
