//! Who this process is, and whether another one of this host still lives.

use party_core::Timestamp;
use std::{sync::OnceLock, time::SystemTime};

/// The time of day.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The machine's boot; empty where the system does not name it.
pub(crate) fn boot() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim_end().to_owned()
    })
    .clone()
}

/// When the process `pid` started, in ticks since boot; `None` where it is gone, a zombie, or the
/// system does not say.
pub(crate) fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; what follows it is the third field.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a process of this host and boot lives.
#[cfg(target_os = "linux")]
pub(crate) fn is_alive(pid: u32, since: u64) -> bool {
    started(pid) == Some(since)
}

/// Whether a process of this host and boot lives; a reused process id counts as alive.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_alive(pid: u32, _since: u64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
