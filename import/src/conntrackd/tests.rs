use evergate_api::config::{Sources, parse};

use super::*;

const FILE: &str = r#"# /etc/conntrackd/conntrackd.conf
Sync {
    Mode FTFW {
        DisableExternalCache Off
        CommitTimeout 1800
    }
    UDP {
        IPv4_address 10.93.0.2
        IPv4_Destination_Address 10.93.0.1
        Port 3781
        Interface eth2.100
        Checksum on
    }
    Options { ExpectationSync yes }
}
General
{
    HashSize 32768
    UNIX {
        Path /var/run/conntrackd.ctl
    }
    Filter From Userspace {
        Protocol Accept { TCP SCTP
            GRE
        }
        Address Ignore {
            IPv4_address 127.0.0.1 # loopback
            IPv4_address 10.93.0.2
            IPv6_address fd93::7/64
        }
    }
    Weather fine
}
"#;

/// The rest of a file of ours.
const REST: &str = "[cluster]\nname = \"edge\"\n[node.gw1]\n[group.g.router.lan]\ninterface = \"lan\"\n\
                    vrid = 51\naddresses = [\"10.91.0.1/24\"]\n";

fn imported(text: &str) -> Imported {
    import(text, "gw2").unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn a_file_becomes_a_table_that_check_accepts() {
    let toml = imported(FILE).toml;
    let outcome = parse(Sources::from_text("edge.toml", &format!("{toml}{REST}")));
    assert!(outcome.report.is_empty(), "{}\n{toml}", outcome.report.render(false));
    let replicate = outcome.config.and_then(|config| config.replicate).expect("it is there");
    assert_eq!(replicate.protocols, [6, 47, 132]);
    let ignore: Vec<String> = replicate.ignore.iter().map(ToString::to_string).collect();
    assert_eq!(ignore, ["10.93.0.2/32", "fd93::/64"]);
    let conntrackd = replicate.conntrackd.expect("it is there");
    assert_eq!((conntrackd.peer.as_str(), conntrackd.port), ("gw2", 3781));
    assert_eq!(conntrackd.address, "10.93.0.1".parse().ok());
}

#[test]
fn every_statement_is_told_with_its_line() {
    let all = imported(FILE);
    assert!(!all.is_exact());
    let found = |fate: Fate| -> Vec<(usize, &str)> {
        all.of(fate).map(|found| (found.line, found.text.as_str())).collect()
    };
    assert_eq!(found(Fate::Unsupported), [(14, "ExpectationSync yes"), (32, "Weather fine")]);
    assert_eq!(
        found(Fate::Changed),
        [
            (4, "DisableExternalCache Off"),
            (5, "CommitTimeout 1800"),
            (8, "IPv4_address 10.93.0.2"),
            (18, "HashSize 32768"),
            (19, "UNIX"),
        ]
    );
    let exact: Vec<usize> = found(Fate::Exactly).into_iter().map(|(line, _)| line).collect();
    assert_eq!(exact, [3, 7, 9, 10, 11, 12, 22, 23, 26, 27, 28, 29]);
    let report = all.report("conntrackd.conf");
    assert!(
        report.contains("\nnot supported: 2\n  conntrackd.conf:14  ExpectationSync yes: "),
        "{report}"
    );
    assert_eq!(all.to_json("x")["unsupported"][1]["line"], 32);
}

#[test]
fn a_file_that_says_what_is_done_anyway_is_exact() {
    let text = "Sync { Mode NOTRACK { DisableExternalCache yes\nDisableInternalCache yes }\n\
                Multicast { IPv4_address 225.0.0.50\nGroup 3780\nInterface sync } }";
    let all = imported(text);
    assert!(all.is_exact(), "{}", all.report("x"));
    assert!(all.toml.contains("mode = \"notrack\"\nport = 3780\ngroup = \"225.0.0.50\"\n"));
}

#[test]
fn what_is_no_such_file_is_not_guessed_at() {
    for (text, line) in [
        ("", None),
        ("General { }", None),
        ("Sync {\nMode FTFW {\n}", Some(1)),
        ("}", Some(1)),
        ("\n{", Some(2)),
        ("Sync {\n TCP { Interface sync }\n}", None),
        (&"a {\n".repeat(20), Some(9)),
    ] {
        assert_eq!(import(text, "gw2").expect_err(text).line, line, "{text}");
    }
}
