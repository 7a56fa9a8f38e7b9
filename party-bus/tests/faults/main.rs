//! The SQLite store under faults: processes that are killed or stopped, files that are damaged, disks
//! that are full, readers and writers that stand in each other's way. `real_faults` has disks that fail.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and their children that report")]

mod check;
mod child;
mod file;
mod full;
mod kill;
mod log;
mod random;
mod script;
mod several;
