//! What we put, as Debian's `conntrack` sees it.

use evergate_core::flow::{Extra, Flow, Zones, protocol};
use evergate_daemon::kernel::conntrack::injector::Injector;

use crate::flows::{ends, flow, numbered, put, run, translated, with};
use crate::namespace::in_namespace;

/// A flow, and the words of the tool's line about it, in their order.
fn cases() -> Vec<(Flow, &'static str)> {
    let tcp = |source, target| ends(protocol::TCP, source, target);
    let mut zoned = numbered(1);
    zoned.key.zones = Zones { original: 7, reply: 7 };
    let helper = Extra { helper: Some(b"ftp".to_vec()), ..Extra::default() };
    vec![
        (
            Flow { mark: 42, ..flow(tcp("10.0.0.1:1000", "10.0.0.2:80")) },
            "ipv4 2 tcp 6 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=80 src=10.0.0.2 \
             dst=10.0.0.1 sport=80 dport=1000 [ASSURED] mark=42",
        ),
        (
            translated(
                tcp("10.0.0.1:1001", "192.0.2.2:80"),
                tcp("192.0.2.2:80", "203.0.113.9:61001"),
            ),
            "ipv4 2 tcp 6 ESTABLISHED src=10.0.0.1 dst=192.0.2.2 sport=1001 dport=80 src=192.0.2.2 \
             dst=203.0.113.9 sport=80 dport=61001 [ASSURED] mark=0",
        ),
        (
            translated(
                tcp("[2001:db8::1]:1002", "[2001:db8::9]:80"),
                tcp("[fd00::2]:8080", "[2001:db8::1]:1002"),
            ),
            "ipv6 10 tcp 6 ESTABLISHED src=2001:db8::1 dst=2001:db8::9 sport=1002 dport=80 \
             src=fd00::2 dst=2001:db8::1 sport=8080 dport=1002 [ASSURED] mark=0",
        ),
        (
            zoned,
            "ipv4 2 udp 17 src=10.0.0.1 dst=10.0.0.2 sport=1025 dport=53 src=10.0.0.2 dst=10.0.0.1 \
             sport=53 dport=1025 [ASSURED] mark=0 zone=7",
        ),
        (
            with(helper, flow(tcp("10.0.0.1:1003", "10.0.0.2:21"))),
            "ipv4 2 tcp 6 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1003 dport=21 src=10.0.0.2 \
             dst=10.0.0.1 sport=21 dport=1003 [ASSURED] mark=0 helper=ftp",
        ),
    ]
}

#[test]
fn debians_tool_shows_what_was_put() {
    in_namespace(|| {
        let mut injector = Injector::open().unwrap();
        let cases = cases();
        put(&mut injector, &cases.iter().map(|(flow, _)| flow).collect::<Vec<_>>());
        let Some(mut lines) = run("conntrack", &["-L", "-o", "extended"]) else { return };
        let v6 = run("conntrack", &["-L", "-f", "ipv6", "-o", "extended"]);
        lines.push_str(&v6.unwrap_or_default());
        let shown: Vec<String> = lines.lines().map(without_what_varies).collect();
        for (_, expected) in cases {
            assert!(shown.iter().any(|line| line == expected), "{expected}\nis not in {shown:#?}");
        }
    });
}

/// The line without its timeout and its count of users.
fn without_what_varies(line: &str) -> String {
    let words = line.split_whitespace().enumerate();
    let words = words.filter(|(place, word)| *place != 4 && !word.starts_with("use="));
    words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}
