//! The suite that every harness has to pass, for those that need no runtime.

mod broken;
mod replayed;
mod scripted;
#[path = "../stages/mod.rs"]
mod stages;
