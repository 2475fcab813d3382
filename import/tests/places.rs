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
