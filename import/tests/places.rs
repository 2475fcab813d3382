//! Where a note names another line, it names its file too, if that is another one; and what is said
//! in two blocks is told as it counts.

use std::collections::BTreeMap;

use evergate_import::keepalived::{Files, Options, import};
use evergate_import::{Fate, Imported};

struct Memory(BTreeMap<String, String>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let text = self.0.get(path).ok_or("it is not there")?;
        Ok(text.clone().into_bytes())
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

fn imported(files: &[(&str, &str)]) -> Imported {
    let owned = |(path, text): &(&str, &str)| (format!("/k/{path}"), (*text).to_owned());
    let options = Options { cluster: "edge".into(), host: "gw1".into(), ..Options::default() };
    let mut files = Memory(files.iter().map(owned).collect());
    import("/k/a", &mut files, &options).expect("it can be read")
}

fn why<'i>(all: &'i Imported, text: &str) -> (Fate, &'i str) {
    let found = all.findings.iter().find(|found| found.text == text);
    let found = found.unwrap_or_else(|| panic!("{text}: {}", all.report("a")));
    (found.fate, &found.why)
}

/// An instance with some lines in it.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 3\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n{lines}\n}}\n"
    )
}

#[test]
fn a_line_of_another_file_is_named_with_it() {
    let a = instance(
        "state MASTER\ntrack_interface { eth5\n}\nnotify_stop /bin/a\ninclude b\npriority 90\n\
         priority 91",
    );
    let b = "\n\n\npriority 80\ninterface eth1\nstate BACKUP\nnotify_stop /bin/b\n\
             track_interface {\neth5 weight 1\n}\n";
    let c = "vrrp_instance A {\n}\n";
    let all = imported(&[("a", &format!("{a}include c\n")), ("b", b), ("c", c)]);
    for (text, expected) in [
        ("interface eth0", "as there, /k/b:5 counts in its place"),
        ("notify_stop /bin/a", "as there, /k/b:7 counts in its place"),
        ("state BACKUP", "passed over, as there: MASTER at /k/a:7"),
        ("eth5 weight 1", "passed over: it is there at /k/a:8"),
        ("priority 80", "as there, /k/a:12 counts in its place"),
        ("priority 90", "as there, line 13 counts in its place"),
    ] {
        assert_eq!(why(&all, text).1, expected, "{text}");
    }
    let second = all.findings.iter().find(|found| found.file.as_deref() == Some("/k/c"));
    let second = second.expect("it is told");
    assert_eq!(second.why, "passed over, as there: the name is taken at /k/a:1");
}

#[test]
fn a_line_of_a_variable_is_named_with_its_use() {
    let text = "$V= \\\ninterface eth${N} \\\naccept\n\n$N=1\n";
    let all = imported(&[("a", &format!("{text}{}", instance("$V\n$N=2\n$V")))]);
    let (_, why) = why(&all, "interface eth1");
    assert_eq!(why, "as there, line 2 (used at line 14) counts in its place");
}

#[test]
fn peers_of_two_blocks_are_peers_of_one() {
    let lines = "unicast_peer {\n10.0.0.5\n}\nunicast_peer {\n10.0.0.6\n}\nunicast_peer more";
    let all = imported(&[("a", &instance(lines))]);
    assert!(all.toml.contains("unicast_peers = [\"10.0.0.5\", \"10.0.0.6\"]"), "{}", all.toml);
    let mut blocks = all.findings.iter().filter(|found| found.text == "unicast_peer");
    let whys: Vec<&str> = blocks.by_ref().map(|found| found.why.as_str()).collect();
    assert_eq!(whys.len(), 3, "{}", all.report("a"));
    assert!(whys.iter().all(|why| why.starts_with("unicast_peers")), "{whys:?}");
    assert_eq!(why(&all, "10.0.0.5"), (Fate::Exactly, "unicast_peers"));
    assert_eq!(why(&all, "unicast_peer … more").0, Fate::Unsupported);
    // What is left out is left out with both.
    let all = imported(&[("a", &instance(&format!("strict_mode\n{lines}")))]);
    assert!(why(&all, "10.0.0.5").1.contains("strict"), "{}", all.report("a"));
    assert!(why(&all, "10.0.0.6").1.contains("strict"), "{}", all.report("a"));
    let all = imported(&[("a", &instance(lines).replace("interface", "accept #"))]);
    assert!(why(&all, "10.0.0.6").1.contains("left out"), "{}", all.report("a"));
}

#[test]
fn authentication_in_two_blocks_counts_keyword_by_keyword() {
    let lines =
        "authentication {\nauth_type AH\nauth_pass abc\n}\nauthentication {\nauth_pass d\n}";
    let all = imported(&[("a", &instance(lines))]);
    assert!(all.toml.contains("auth = { type = \"ah\""), "{}", all.toml);
    assert_eq!(all.keys[0].content.as_slice(), b"d");
    assert_eq!(why(&all, "auth_type AH"), (Fate::Exactly, "auth"));
    let first = why(&all, "auth_pass (hidden)");
    assert_eq!(first, (Fate::Exactly, "as there, line 12 counts in its place"));
    assert!(all.findings.iter().all(|found| found.why != "not known"), "{}", all.report("a"));
    let lines = "auth_hmac {\nkey 1 hex:00\n}\nauth_hmac {\nmode permissive\n}";
    let all = imported(&[("a", &instance(lines))]);
    assert!(all.toml.contains("mode = \"permissive\""), "{}", all.toml);
    let blocks = all.findings.iter().filter(|found| found.text == "auth_hmac");
    assert_eq!(blocks.map(|found| found.fate).collect::<Vec<_>>(), [Fate::Exactly, Fate::Changed]);
}
