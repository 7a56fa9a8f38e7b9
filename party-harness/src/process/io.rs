//! The ends of a process's pipes.

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::ChildStdin,
};

/// How much of stderr is kept: its end.
const STDERR_TAIL: usize = 64 * 1024;

/// Writes the message and ends the input. A process that reads no more says why itself.
pub(crate) async fn write_all(mut stdin: ChildStdin, message: &[u8]) {
    let _ = stdin.write_all(message).await;
    let _ = stdin.shutdown().await;
}

/// Reads stderr to its end and keeps the tail.
pub(crate) async fn drain(mut stderr: impl AsyncRead + Unpin, tail: &std::sync::Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let Ok(mut tail) = tail.lock() else { return };
        tail.extend_from_slice(&buffer[..read]);
        let excess = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..excess);
    }
}
