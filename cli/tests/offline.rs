//! The verbs that ask no daemon: check, schema, key, firewall, completions, man.

mod fake;

use std::os::unix::fs::PermissionsExt;

use fake::{Scratch, evergate};

const PAIR: &str = r#"[cluster]
name = "edge"
key_file = "cluster.key"

[node.gw1]
priority = 200

[node.gw2]
priority = 100

[link.sync]
interface = "sync"

[group.gateway.router.lan]
interface = "lan"
vrid = 51
addresses = ["10.91.0.1/24", "fe80::91:1/64"]

[group.gateway.router.wan]
interface = "wan"
vrid = 52
addresses = ["10.92.0.1/24"]
"#;

#[test]
fn check_is_0_for_a_good_file_1_for_warnings_2_for_errors() {
    let scratch = Scratch::new();
    let good = evergate(&["check", &scratch.write("good.toml", PAIR)]);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.text.contains("good.toml: good; cluster edge: 2 nodes, 1 link, 1 group"));
    assert!(good.text.contains("note: the key file"), "{good:?}");

    let replicated = format!("{PAIR}\n[replicate]\n");
    let replicated = evergate(&["check", &scratch.write("replicated.toml", &replicated)]);
    assert_eq!(replicated.code, 0, "{replicated:?}");

    let warned = PAIR.replace("[link.sync]\ninterface = \"sync\"\n", "[replicate]\n");
    let warned = evergate(&["check", &scratch.write("warned.toml", &warned)]);
    assert_eq!(warned.code, 1, "{warned:?}");
    assert!(warned.text.contains("warned.toml: 1 warning; cluster edge"), "{warned:?}");

    let broken = PAIR.replace("priority = 200", "priorty = 200");
    let broken = evergate(&["check", &scratch.write("broken.toml", &broken)]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.text.contains("broken.toml:6:1"), "{broken:?}");
    assert!(broken.text.contains("^^^"), "{broken:?}");
}

#[test]
fn check_json_names_place_and_result() {
    let scratch = Scratch::new();
    let broken = PAIR.replace("vrid = 52", "vrid = 256");
    let run = evergate(&["check", "--json", &scratch.write("c.toml", &broken)]);
    let json: serde_json::Value = serde_json::from_str(&run.text).expect("it is JSON");
    assert_eq!((run.code, &json["result"]), (2, &"errors".into()));
    assert_eq!(json["problems"][0]["line"], 21);
    let run = evergate(&["check", "--json", "/nonexistent.toml"]);
    assert_eq!(run.code, 2);
    assert!(run.text.starts_with("{\"error\":{\"code\":\"file\""), "{run:?}");
}

#[test]
fn check_refuses_a_key_file_that_the_daemon_would_refuse() {
    let scratch = Scratch::new();
    let config = scratch.write("c.toml", PAIR);
    let key = scratch.write("cluster.key", &evergate(&["key"]).text);
    let mode = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode));
    mode(0o644).expect("the file is ours");
    let run = evergate(&["check", &config]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.text.contains("chmod 600"), "{run:?}");
    mode(0o600).expect("the file is ours");
    let run = evergate(&["check", &config]);
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn keys_are_lines_that_differ() {
    let (one, other) = (evergate(&["key"]), evergate(&["key"]));
    assert_eq!((one.code, one.text.lines().count()), (0, 1));
    assert!(one.text.starts_with("evergate-key-1:"));
    assert_ne!(one.text, other.text);
}

#[test]
fn the_schema_is_json_and_closed() {
    let run = evergate(&["schema"]);
    let json: serde_json::Value = serde_json::from_str(&run.text).expect("it is JSON");
    assert_eq!(json["additionalProperties"], false);
}

#[test]
fn the_firewall_rules_are_those_of_the_configuration() {
    let scratch = Scratch::new();
    let config = scratch.write("c.toml", PAIR);
    let run = evergate(&["firewall", "--config", &config]);
    assert_eq!(run.code, 0, "{run:?}");
    let rules: Vec<&str> = run.text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        "insert rule inet filter input iifname { \"lan\", \"sync\", \"wan\" } udp dport 8747 accept \
         comment \"evergate: heartbeats, replication\"",
        "insert rule inet filter input iifname { \"lan\" } ip6 daddr ff02::12 meta l4proto 112 \
         accept comment \"evergate: VRRP\"",
        "insert rule inet filter input iifname { \"lan\", \"wan\" } ip daddr 224.0.0.18 meta \
         l4proto 112 accept comment \"evergate: VRRP\"",
    ];
    assert_eq!(rules, expected);
}

#[test]
fn rules_that_differ_between_nodes_ask_for_the_node() {
    let scratch = Scratch::new();
    let differs = PAIR.replace("\"lan\"", "{ gw1 = \"eth0\", gw2 = \"eth1\" }");
    let config = scratch.write("c.toml", &differs);
    let run = evergate(&["firewall", "--config", &config]);
    assert_eq!(run.code, 2, "{run:?}");
    let next = format!("next: evergate firewall --config {config} --node gw1\n");
    assert!(run.errors.ends_with(&next), "{run:?}");
    let run = evergate(&["firewall", "--config", &config, "--node", "gw2"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.text.contains("{ \"eth1\", \"sync\", \"wan\" }") && !run.text.contains("eth0"));
    let run = evergate(&["firewall", "--config", &config, "--node", "gw3"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn the_hint_for_the_node_repeats_configuration_and_chain() {
    let scratch = Scratch::new();
    let differs = PAIR.replace("\"lan\"", "{ gw1 = \"eth0\", gw2 = \"eth1\" }");
    let config = scratch.write("it's mine.toml", &differs);
    let run = evergate(&["firewall", "--config", &config, "--chain", "inet fw in"]);
    let quoted = config.replace('\'', "'\\''");
    let next =
        format!("next: evergate firewall --config '{quoted}' --node gw1 --chain \"inet fw in\"\n");
    assert!(run.code == 2 && run.errors.ends_with(&next), "{run:?}");
}

#[test]
fn a_lone_node_beside_a_foreign_one_needs_vrrp_only() {
    let scratch = Scratch::new();
    let unicast = "vrid = 52\nunicast_peers = [\"192.0.2.1\", \"192.0.2.2\"]";
    let lone = PAIR
        .replace("key_file = \"cluster.key\"\n", "")
        .replace("[link.sync]\ninterface = \"sync\"\n", "")
        .replace("priority = 100", "foreign = true")
        .replace("vrid = 52", unicast);
    let run = evergate(&["firewall", "--config", &scratch.write("c.toml", &lone)]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.text.contains("udp"), "{run:?}");
    assert!(run.text.contains("iifname \"wan\" ip saddr 192.0.2.2 meta l4proto 112"), "{run:?}");
}

#[test]
fn a_peer_with_conntrackd_is_let_in_on_its_link_alone() {
    let scratch = Scratch::new();
    let pair = PAIR
        .replace("key_file = \"cluster.key\"\n", "")
        .replace("priority = 100", "foreign = true")
        + "\n[replicate.conntrackd]\npeer = \"gw2\"\nlink = \"sync\"\n";
    let run = evergate(&["firewall", "--config", &scratch.write("c.toml", &pair)]);
    assert!(run.text.contains("iifname \"sync\" udp dport 3780 accept"), "{run:?}");
    let named = format!("{pair}address = \"10.93.0.2\"\n");
    let run = evergate(&["firewall", "--config", &scratch.write("c.toml", &named)]);
    let rule = "iifname \"sync\" ip saddr 10.93.0.2 udp dport 3780 accept";
    assert!(run.text.contains(rule), "{run:?}");
}

#[test]
fn an_import_writes_toml_and_tells_what_became_of_each_line() {
    let scratch = Scratch::new();
    let exact = "Sync {\n  Mode NOTRACK {\n    DisableExternalCache On\n  }\n  Multicast {\n    \
                 IPv4_address 225.0.0.50\n    Group 3780\n    Interface sync\n  }\n}\n";
    let run = evergate(&["import", "conntrackd", "--peer", "gw2", &scratch.write("a", exact)]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.text.contains("[replicate.conntrackd]\npeer = \"gw2\"\n"), "{run:?}");
    let other = exact.replace("Mode NOTRACK", "Mode ALARM");
    let file = scratch.write("b", &other);
    let run = evergate(&["import", "conntrackd", &file]);
    assert_eq!(run.code, 1, "{run:?}");
    let run = evergate(&["--json", "import", "conntrackd", &file]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.text.contains("\"line\":2,\"text\":\"Mode ALARM\""), "{run:?}");
    let run = evergate(&["import", "conntrackd", &scratch.write("c", "Stats { }")]);
    assert_eq!(run.code, 2, "{run:?}");
    let run = evergate(&["import", "conntrackd", "/no/such/file"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn an_interface_name_cannot_add_to_the_rules() {
    let scratch = Scratch::new();
    let strange = PAIR.replace("interface = \"lan\"", "interface = 'l\"; flush'");
    let run = evergate(&["firewall", "--config", &scratch.write("c.toml", &strange)]);
    assert_eq!((run.code, run.text.as_str()), (2, ""), "{run:?}");
    let strange = PAIR.replace("interface = \"lan\"", "interface = 'l\"n'");
    let run = evergate(&["firewall", "--config", &scratch.write("c.toml", &strange)]);
    assert_eq!((run.code, run.text.as_str()), (2, ""), "{run:?}");
}

#[test]
fn completions_and_man_pages_know_every_verb() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = evergate(&["completions", shell]).text;
        for verb in ["switchover", "resync", "verify", "flows"] {
            assert!(script.contains(verb), "{shell} {verb}");
        }
    }
    let directory = scratch.path("man").display().to_string();
    assert_eq!(evergate(&["man", &directory]).code, 0);
    for page in ["evergate.1", "evergate-status.1", "evergate-flows.1", "evergate-resync.1"] {
        let text = std::fs::read_to_string(scratch.path("man").join(page)).expect("it is written");
        assert!(text.contains(".TH"), "{page}");
    }
    assert_eq!(evergate(&["man", "/proc/nonexistent"]).code, 2);
}
