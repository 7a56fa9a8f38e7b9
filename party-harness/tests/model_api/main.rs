//! Model APIs as a host meets them, on each wire against a fake provider.

mod bench;
mod costs;
mod cuts;
mod faults;
mod retries;
mod secrets;
mod steps;
