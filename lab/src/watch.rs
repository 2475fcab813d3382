//! Which node held which address when, from `ip -ts monitor address` on every gateway.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock;
use crate::error::{LabError, Result};
use crate::lab::Lab;
use crate::shell;
use crate::topology::Gateway;

/// Time for the monitors to open their sockets, and at the end to write what they have heard.
const SETTLE: Duration = Duration::from_millis(60);

/// A change of an address on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, in microseconds since 1970 UTC.
    pub at_us: u64,
    /// The interface.
    pub interface: String,
    /// The address without its prefix length.
    pub address: String,
    /// True when set or renewed, false when removed.
    pub present: bool,
}

/// Monitors under way on all gateways.
pub struct AddressWatch {
    monitors: Vec<(Gateway, Child, PathBuf)>,
    start_us: u64,
    initial: BTreeMap<Gateway, Vec<String>>,
}

/// What the monitors have seen.
#[derive(Clone, Debug, Default)]
pub struct AddressLog {
    /// The changes on each node in order.
    pub changes: BTreeMap<Gateway, Vec<Change>>,
    /// When the watch began, in microseconds since 1970 UTC.
    pub start_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// Addresses that were there before.
    pub initial: BTreeMap<Gateway, Vec<String>>,
}

impl AddressWatch {
    /// Starts a monitor on every gateway.
    pub fn start(lab: &Lab) -> Result<Self> {
        let mut monitors = Vec::new();
        for gateway in lab.gateways() {
            let path = lab.directory().join(format!("{gateway}-{}.addresses", clock::wall_us()));
            let file = File::create(&path).map_err(LabError::io("make a monitor's file"))?;
            let mut command = Command::new("ip");
            command.args(["-ts", "monitor", "address"]).env("TZ", "UTC");
            command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
            monitors.push((gateway, lab.topology.gateway(gateway).spawn(&mut command)?, path));
        }
        clock::sleep(SETTLE);
        let start_us = clock::wall_us();
        let mut initial = BTreeMap::new();
        for gateway in lab.gateways() {
            let name = lab.topology.gateway(gateway).name();
            let lines = shell::run("ip", &["-o", "-n", name, "address", "show"])?;
            initial.insert(gateway, lines.lines().filter_map(address_of_line).collect());
        }
        Ok(Self { monitors, start_us, initial })
    }

    /// Ends the monitors and reads what they wrote.
    pub fn stop(mut self) -> Result<AddressLog> {
        clock::sleep(SETTLE);
        let mut log = AddressLog {
            start_us: self.start_us,
            end_us: clock::wall_us(),
            initial: std::mem::take(&mut self.initial),
            ..AddressLog::default()
        };
        for (gateway, child, path) in &mut self.monitors {
            // It may have been killed with its gateway; what it wrote is still there.
            let _ = child.kill();
            let _ = child.wait();
            let text = fs::read_to_string(&path).map_err(LabError::io("read a monitor's file"))?;
            log.changes.insert(*gateway, parse(&text));
        }
        self.monitors.clear();
        Ok(log)
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        for (_, child, _) in &mut self.monitors {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl AddressLog {
    /// When a node held an address: spans in microseconds since 1970 UTC.
    pub fn spans(&self, gateway: Gateway, address: &str) -> Vec<(u64, u64)> {
        let initial = self.initial.get(&gateway);
        let mut since = initial
            .is_some_and(|all| all.iter().any(|one| one == address))
            .then_some(self.start_us);
        let mut spans = Vec::new();
        let changes = self.changes.get(&gateway).map_or(&[][..], Vec::as_slice);
        for change in changes.iter().filter(|change| change.address == address) {
            match (since, change.present) {
                (None, true) => since = Some(change.at_us),
                (Some(from), false) => {
                    spans.push((from, change.at_us));
                    since = None;
                }
                // A renewal, or a removal of what was never seen.
                (Some(_), true) | (None, false) => {}
            }
        }
        spans.extend(since.map(|from| (from, self.end_us)));
        spans
    }

    /// The longest stretch in which two nodes held an address at the same time.
    pub fn overlap(&self, address: &str) -> Duration {
        let held: Vec<_> = self.changes.keys().map(|node| self.spans(*node, address)).collect();
        let mut longest = 0;
        for (index, one) in held.iter().enumerate() {
            for other in held.iter().skip(index + 1).flatten() {
                let both =
                    one.iter().map(|span| span.1.min(other.1).saturating_sub(span.0.max(other.0)));
                longest = longest.max(both.max().unwrap_or(0));
            }
        }
        Duration::from_micros(longest)
    }

    /// How often an address moved: every time a node got it anew, the first time not counted.
    pub fn moves(&self, address: &str) -> usize {
        let gained: usize = self.changes.keys().map(|node| self.spans(*node, address).len()).sum();
        gained.saturating_sub(1)
    }
}

/// The address in a line of `ip -o address`.
fn address_of_line(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    words.find(|word| matches!(*word, "inet" | "inet6"))?;
    Some(words.next()?.split('/').next()?.to_owned())
}

/// Reads the output of `ip -ts monitor address`; lines that are no change are passed over.
pub fn parse(text: &str) -> Vec<Change> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Change> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    let (present, rest) = match rest.strip_prefix("Deleted ") {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let interface = rest.split_whitespace().nth(1)?.trim_end_matches(':');
    let interface = interface.split('@').next()?.to_owned();
    Some(Change { at_us: parse_stamp(stamp)?, interface, address: address_of_line(rest)?, present })
}

/// Microseconds since 1970 from `2026-11-21T07:40:00.123456`.
fn parse_stamp(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.')?;
    let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let seconds = (days_since_1970(year, month, day)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + fraction.parse::<u64>().ok()?)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE_MONTH.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let earlier = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>();
    Some(earlier + before + u64::from(leap(year) && month > 2) + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{GW1, GW2};

    const TEXT: &str = "\
[2026-11-21T07:40:00.100000] 2: lan    inet 10.91.0.1/24 scope global secondary proto 0xe6 lan
       valid_lft 3sec preferred_lft 3sec
[2026-11-21T07:40:01.100000] 2: lan    inet 10.91.0.1/24 scope global secondary lan
       valid_lft 3sec preferred_lft 3sec
[2026-11-21T07:40:02.350000] Deleted 2: lan    inet 10.91.0.1/24 scope global secondary lan
       valid_lft 2sec preferred_lft 2sec
";

    #[test]
    fn additions_renewals_and_removals_are_read() {
        let changes = parse(TEXT);
        assert_eq!(changes.len(), 3);
        assert_eq!(changes[0].interface, "lan");
        assert_eq!(changes[0].address, "10.91.0.1");
        assert!(changes[1].present && !changes[2].present);
        assert_eq!(changes[2].at_us - changes[0].at_us, 2_250_000);
    }

    #[test]
    fn days_are_counted_across_leap_years() {
        assert_eq!(parse_stamp("1970-01-01T00:00:00.000001"), Some(1));
        assert_eq!(days_since_1970(2000, 3, 1), Some(11_017));
        assert_eq!(days_since_1970(2026, 11, 21), Some(20_778));
    }

    #[test]
    fn the_overlap_of_two_nodes_is_measured() {
        let first = parse(TEXT);
        let mut log = AddressLog { end_us: first[0].at_us + 9_000_000, ..AddressLog::default() };
        let second = Change { at_us: first[2].at_us - 80_000, ..first[0].clone() };
        log.changes.insert(GW1, first);
        log.changes.insert(GW2, vec![second]);
        assert_eq!(log.overlap("10.91.0.1"), Duration::from_millis(80));
        assert_eq!(log.moves("10.91.0.1"), 1);
        assert_eq!(log.overlap("10.92.0.1"), Duration::ZERO);
    }
}
