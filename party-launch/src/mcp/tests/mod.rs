//! The server as a client on a raw socket meets it.

mod calls;
mod guarded;
mod secrets;
mod wire;
