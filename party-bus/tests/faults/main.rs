//! The SQLite store under faults: processes that are killed or stopped, files that are damaged, disks
//! that are full or fail, readers and writers that stand in each other's way.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and their children that report")]

mod check;
mod child;
mod failing;
mod file;
mod full;
mod kill;
mod log;
mod power;
mod random;
mod script;
mod several;
mod trace;
