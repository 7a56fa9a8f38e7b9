//! The SQLite store on a system that `strace` watches and has fail: disks that fail, and power cuts.
//! `PARTY_TEST_STRACE` names the binary, else it is looked for in the path.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and their children that report")]

#[path = "../faults/check.rs"]
mod check;
#[path = "../faults/child.rs"]
#[expect(dead_code, reason = "what only the tests of `faults` use")]
mod child;
mod failing;
mod power;
#[path = "../faults/random.rs"]
#[expect(dead_code, reason = "what only the tests of `faults` use")]
mod random;
#[path = "../faults/script.rs"]
mod script;
mod trace;
