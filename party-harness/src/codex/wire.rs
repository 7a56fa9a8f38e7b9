//! Messages to and from a server: over a socket, or as lines over its pipes.

use crate::socket::{Frame, Reader, SocketError, Writer};
use std::io;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{ChildStdin, ChildStdout},
};
pub(super) use tokio_tungstenite::tungstenite::Utf8Bytes as Text;

/// The half that speaks.
#[derive(Debug)]
pub(super) enum Speaker {
    Socket(Writer),
    Lines(ChildStdin),
}

impl Speaker {
    pub(super) async fn send(&mut self, text: String) -> Result<(), SocketError> {
        match self {
            Self::Socket(writer) => writer.send(text).await,
            Self::Lines(stdin) => {
                let line = text + "\n";
                stdin.write_all(line.as_bytes()).await.map_err(SocketError::Broken)
            }
        }
    }

    pub(super) async fn close(&mut self) {
        match self {
            Self::Socket(writer) => writer.close().await,
            Self::Lines(stdin) => {
                let _ = stdin.shutdown().await;
            }
        }
    }
}

/// The half that listens.
#[derive(Debug)]
pub(super) enum Listener {
    Socket(Reader),
    Lines { stdout: BufReader<ChildStdout>, line: Vec<u8>, limit: usize },
}

impl Listener {
    pub(super) fn lines(stdout: ChildStdout, limit: usize) -> Self {
        Self::Lines { stdout: BufReader::new(stdout), line: Vec::new(), limit }
    }

    /// The next message; `None` for one that is no text. After an error nothing more comes.
    pub(super) async fn next(&mut self) -> Result<Option<Text>, SocketError> {
        match self {
            Self::Socket(reader) => loop {
                match reader.next().await? {
                    Frame::Text(text) => return Ok(Some(text)),
                    Frame::Binary(_) => return Ok(None),
                    Frame::Alive => {}
                }
            },
            Self::Lines { stdout, line, limit } => next_line(stdout, line, *limit).await,
        }
    }
}

async fn next_line(
    stdout: &mut BufReader<ChildStdout>,
    line: &mut Vec<u8>,
    limit: usize,
) -> Result<Option<Text>, SocketError> {
    loop {
        let chunk = stdout.fill_buf().await.map_err(SocketError::Broken)?;
        if chunk.is_empty() {
            return Err(SocketError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = memchr::memchr(b'\n', chunk);
        let taken = end.map_or(chunk.len(), |end| end + 1);
        line.extend_from_slice(&chunk[..end.unwrap_or(taken)]);
        stdout.consume(taken);
        if line.len() > limit {
            return Err(SocketError::TooLarge(limit));
        }
        if end.is_some() {
            let text = String::from_utf8(std::mem::take(line));
            return Ok(text.ok().map(Text::from));
        }
    }
}
