//! A secret is in its key file, and neither in the report nor in the configuration, wherever on a
//! line somebody has put it.

use evergate_import::Imported;
use evergate_import::keepalived::{Files, Options, import};

/// The file `/k/a`, which may include `/k/b`.
struct Pair(String, String);

impl Files for Pair {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "/k/a" => Ok(self.0.clone().into_bytes()),
            "/k/b" => Ok(self.1.clone().into_bytes()),
            _ => Err("it is not there".to_owned()),
        }
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }
}

const SECRET: &str = "Zq7-Zq7";

/// What is said of a text, or why it cannot be read.
fn told(text: &str, included: &str) -> (String, Option<Imported>) {
    let options = Options { cluster: "edge".into(), host: "gw1".into(), ..Options::default() };
    let mut files = Pair(text.to_owned(), included.to_owned());
    match import("/k/a", &mut files, &options) {
        Ok(all) => (format!("{}{}{}", all.toml, all.report("a"), all.to_json("a")), Some(all)),
        Err(error) => (error.told("a"), None),
    }
}

fn silent(text: &str, included: &str) {
    let (told, _) = told(text, included);
    assert!(!told.contains("Zq7"), "{text}\n{told}");
}

/// An instance with some lines in it.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 3\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n{lines}\n}}\n"
    )
}

#[test]
fn a_secret_is_not_told_wherever_it_stands_on_its_line() {
    for line in [
        "authentication { auth_type PASS auth_pass Zq7-Zq7\n}",
        "authentication auth_type PASS auth_pass Zq7-Zq7",
        "authentication { auth_type Zq7-Zq7\n}",
        "authentication { auth_passZq7-Zq7\n}",
        "authentication { Zq7-Zq7\n}",
        "authentication { auth_pass\nZq7-Zq7\n}",
        "authentication { Zq7 { Zq7\n}\n}",
        "authentication { \"Zq7-Zq7\n}",
        "authentication { Zq7\"Zq7\n}",
        "authentication { auth_type PASS\nauth_pass a Zq7-Zq7\n}",
        "authentication { x { interface Zq7-Zq7\n}\n}",
        "authentication { } { interface Zq7-Zq7\n}",
        "auth_hmac { mode enforce key 1 hex:Zq7-Zq7\n}",
        "auth_hmac { active_key 1 Zq7-Zq7\n}",
        "auth_hmac { active_key Zq7-Zq7\n}",
        "auth_hmac { key Zq7-Zq7\n}",
        "auth_hmac { key 1 ascii:Zq7-Zq7 Zq7-Zq7\n}",
        "interface eth0 auth_pass Zq7-Zq7",
        "interface eth0 auth_pass=Zq7-Zq7",
        "interface eth0 key 1 hex:Zq7-Zq7",
        "interface eth0 hex:Zq7-Zq7",
        "virtual_router_id 3 authentication auth_pass Zq7-Zq7",
        "virtual_router_id 3 authentication { Zq7-Zq7 Zq7-Zq7\n}",
        "track_interface { eth1 auth_pass Zq7-Zq7\n}",
        "track_interface { eth1 key Zq7-Zq7\n}",
        "virtual_ipaddress { 10.0.0.2/24 auth_pass label Zq7-Zq7\n}",
        "virtual_routes { 10.0.0.0/8 auth_pass via Zq7-Zq7\n}",
        "virtual_routes { 10.0.0.0/8 key via Zq7-Zq7\n}",
        "virtual_rules { from key to Zq7-Zq7\n}",
        "notify_master /bin/x auth_pass Zq7-Zq7",
        "unknown_block { auth_pass Zq7-Zq7\n}",
        "auth_pass\nZq7-Zq7",
        "key { Zq7-Zq7\n}",
        "interface key 1 { Zq7-Zq7\n}",
        "include hex:Zq7-Zq7",
        "include authentication Zq7-Zq7",
        "~LST(auth_pass, {) Zq7-Zq7",
        "password \"Zq7-Zq7",
        "auth_pass\"Zq7-Zq7",
    ] {
        silent(&instance(line), "");
        // With the braces of the instance left open.
        silent(instance(line).trim_end().trim_end_matches('}'), "");
    }
}

#[test]
fn a_secret_of_a_variable_is_not_told() {
    for lines in [
        "$PW=Zq7-Zq7\nauthentication { auth_pass $PW\n}",
        "$PW=Zq7-Zq7\ninterface eth0 auth_pass $PW",
        "$PW = Zq7-Zq7",
        "$PW=a\n$PW = Zq7-Zq7",
        "$PW=a\n${PW}=Zq7-Zq7",
        "$P-W=Zq7-Zq7",
        "PW=Zq7-Zq7",
        "$PW= \\\nZq7-Zq7 \\\nZq7-Zq7\n\nauth_pass $PW Zq7-Zq7",
        "$PW= \\\nauth_pass \\\nZq7-Zq7 \\\nZq7-Zq7\n\n$PW",
        "~LST(PW, Zq7-Zq7) auth_pass $PW",
        "~LST(PW, Zq7-Zq7 auth_pass $PW",
        "~LST (PW, Zq7-Zq7) auth_pass $PW",
        "~SEQ(I, 1, 2) auth_pass Zq7-Zq7",
        "~SEQ(I, 1, -1, 2) auth_pass Zq7-Zq7",
        "@gw2 auth_pass Zq7-Zq7",
        "@gw2 auth_pass{Zq7-Zq7}",
        "@gw2 $PW=Zq7-Zq7",
        "priority ${_RANDOM auth_pass Zq7-Zq7}",
        "priority ${_RANDOM Zq7-Zq7 9}",
        "include none auth_pass Zq7-Zq7",
        "include_check auth_pass Zq7-Zq7",
    ] {
        silent(&instance(lines), "");
    }
    silent(&instance("authentication {\ninclude b\n}"), "auth_type PASS auth_pass Zq7-Zq7");
    silent(&instance("authentication {\nauth_pass\ninclude b\n}"), "Zq7-Zq7");
    silent(&instance("auth_pass\ninclude b"), "Zq7-Zq7");
}

#[test]
fn what_is_hidden_still_counts() {
    let text = instance("authentication { auth_type PASS\nauth_pass Zq7-Zq7\n}");
    let all = told(&text, "").1.expect("it can be read");
    assert_eq!(all.keys.len(), 1);
    assert_eq!(all.keys[0].content.as_slice(), SECRET.as_bytes());
    // A name that only sounds like a password is a name.
    let text = text.replace("vrrp_instance A", "vrrp_instance bypass");
    let group = "vrrp_sync_group G {\ngroup {\nbypass A\n}\n}\n";
    let other = instance("").replace(" 3", " 4").replace("10.0.0.1", "10.0.0.2");
    let all = told(&format!("{text}{other}{group}"), "").1;
    let all = all.expect("it can be read");
    assert!(all.toml.contains("[group.G.router.A]"), "{}", all.toml);
    assert!(all.report("a").contains("interface eth0"), "{}", all.report("a"));
}
