//! What the guardian tells systemd. Without systemd (no `NOTIFY_SOCKET`) all of it does nothing.
//!
//! The main process may change while the service goes on, so the unit needs `NotifyAccess=all`
//! (a new guardian introduces itself) and `ExitType=cgroup` (a dead guardian is not a dead
//! service).

use std::ffi::OsStr;
use std::time::Duration;

use sd_notify::NotifyState;

/// Where systemd says how often it wants to hear from us, in microseconds.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// Signs of life within one time that systemd waits.
const SIGNS_PER_WATCHDOG: u32 = 3;

/// The daemon is ready, and `main_pid` is its guardian.
pub fn ready(main_pid: u32, status: &str) {
    tell(&[NotifyState::Ready, NotifyState::MainPid(main_pid), NotifyState::Status(status)]);
}

/// Another process is the guardian from now on.
pub fn main_pid(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// A reload has begun; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// A sign of life.
pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often to give a sign of life; `None` if systemd does not ask for any.
///
/// `WATCHDOG_PID` is not compared: a guardian that took over has another id and the same duty.
pub fn watchdog_interval() -> Option<Duration> {
    interval_of(std::env::var_os(WATCHDOG_VARIABLE).as_deref())
}

fn interval_of(microseconds: Option<&OsStr>) -> Option<Duration> {
    let microseconds: u64 = microseconds?.to_str()?.parse().ok()?;
    (microseconds > 0).then(|| Duration::from_micros(microseconds) / SIGNS_PER_WATCHDOG)
}

/// A message that does not get through is systemd's loss; the work goes on.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_served_three_times_as_often_as_asked() {
        let interval = |text: &str| interval_of(Some(OsStr::new(text)));
        assert_eq!(interval("3000000"), Some(Duration::from_secs(1)));
        for nonsense in ["0", "", "soon", "-5"] {
            assert_eq!(interval(nonsense), None);
        }
        assert_eq!(interval_of(None), None);
    }
}
