//! Whole files of keepalived and what becomes of them, letter by letter: each fixture has the text
//! of ours beside it, and the report.
//!
//! After a deliberate change: `EVERGATE_BLESS=1 cargo test -p evergate-import`, then read the diff.

use std::path::{Path, PathBuf};

use evergate_api::config::{Sources, parse};
use evergate_import::keepalived::{Files, Options, import};
use evergate_import::{Fate, Finding, Imported};

mod today;

/// The fixtures, at the path `/k`.
struct Fixtures;

impl Files for Fixtures {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(fixture(path.trim_start_matches("/k/")))
            .map_err(|error| error.kind().to_string())
    }

    fn list(&mut self, directory: &str) -> Vec<String> {
        let directory = fixture(directory.trim_start_matches("/k/"));
        let entries = std::fs::read_dir(directory).expect("the fixtures are there");
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keepalived").join(name)
}

fn options() -> Options {
    Options { cluster: "edge".into(), host: "gw1".into(), ..Options::default() }
}

fn imported(name: &str) -> Imported {
    let path = format!("/k/{name}.conf");
    let imported = import(&path, &mut Fixtures, &options());
    imported.unwrap_or_else(|error| panic!("{}", error.told(name)))
}

fn compare(file: &str, text: &str) {
    let path = fixture(file);
    if std::env::var_os("EVERGATE_BLESS").is_some() {
        std::fs::write(&path, text).expect("fixtures are writable where they are blessed");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(text, expected, "{file}");
}

/// Compares everything, and looks whether each word of the file is told of.
fn golden(name: &str) -> Imported {
    let all = imported(name);
    compare(&format!("{name}.toml"), &all.toml);
    compare(&format!("{name}.txt"), &all.report(&format!("{name}.conf")));
    assert_eq!(imported(name), all, "{name}: twice the same");
    valid(name, &all.toml);
    let text = std::fs::read_to_string(fixture(&format!("{name}.conf"))).expect("it is there");
    every_word_is_told(name, &text, &all.findings);
    all
}

/// What `check` knows today is accepted by it.
fn valid(name: &str, toml: &str) {
    let today = today::keys(toml);
    let outcome = parse(Sources::from_text("edge.toml", &today));
    assert_eq!(outcome.report.exit_code(), 0, "{name}:\n{}\n{today}", outcome.report.render(false));
}

/// Each word of a line that is no comment is in a finding of that line. Words are cut as simply as
/// can be, and not as the importer does it.
fn every_word_is_told(name: &str, text: &str, findings: &[Finding]) {
    for (index, line) in text.lines().enumerate() {
        let plain = line.split("//").next().unwrap_or_default();
        let plain = plain.split(['#', '!']).next().unwrap_or_default();
        let here: Vec<&Finding> = findings
            .iter()
            .filter(|found| found.file.is_none() && found.line == index + 1)
            .collect();
        let told: String = here.iter().map(|found| format!("{} ", found.text)).collect();
        for word in plain.replace(['{', '}', '"'], " ").split_whitespace() {
            let is_steering = word.starts_with(['$', '@', '~', '\\', '\'']) || told.contains('…');
            let is_told = told.contains(word) || told.contains("(hidden)") || is_steering;
            assert!(is_told || plain.contains('$'), "{name}:{}: {word} in {told:?}", index + 1);
        }
        assert!(
            plain.trim_matches([' ', '{', '}', '\\']).is_empty() || !here.is_empty(),
            "{name}: {line}"
        );
    }
}

/// The one file of a test.
struct One<'t>(&'t str);

impl Files for One<'_> {
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// A text, with the same looks at it as [`golden`] takes.
fn of(text: &str) -> Imported {
    let all = import("/k/a", &mut One(text), &options()).expect("it can be read");
    valid("a", &all.toml);
    every_word_is_told("a", text, &all.findings);
    all
}

/// An instance of its own interface and number, with some lines more.
fn instance(number: u8, lines: &str) -> String {
    format!(
        "vrrp_instance V{number} {{\ninterface eth{number}\nvirtual_router_id 3\npriority 150\n\
         virtual_ipaddress {{\n10.0.{number}.1/24\n}}\n{lines}\n}}\n"
    )
}

/// What became of a statement, by how it begins.
fn fate<'i>(all: &'i Imported, text: &str) -> (Fate, &'i str) {
    let found = all.findings.iter().find(|found| found.text.starts_with(text));
    found.map(|found| (found.fate, found.why.as_str())).unwrap_or_else(|| panic!("{text}"))
}

fn why<'i>(all: &'i Imported, line: usize, text: &str) -> (Fate, &'i str) {
    let mut found = all.findings.iter().filter(|found| found.file.is_none() && found.line == line);
    let found = found.find(|found| found.text.starts_with(text));
    found.map(|found| (found.fate, found.why.as_str())).unwrap_or_else(|| panic!("{line} {text}"))
}

#[test]
fn a_plain_instance_is_exact() {
    let all = golden("simple");
    assert!(all.is_exact(), "{}", all.report("simple"));
    assert!(all.keys.is_empty());
}

#[test]
fn a_gateway_with_two_legs_becomes_one_group() {
    golden("pair");
}

#[test]
fn the_language_is_read_as_keepalived_reads_it() {
    golden("language");
}

#[test]
fn every_keyword_of_global_defs_is_known() {
    let all = golden("globals");
    let unknown: Vec<&str> =
        all.findings.iter().filter(|f| f.why == "not known").map(|f| f.text.as_str()).collect();
    assert_eq!(unknown, ["no_such_word 1"]);
}

#[test]
fn every_keyword_of_an_instance_is_known() {
    let all = golden("instance");
    let unknown: Vec<&str> =
        all.findings.iter().filter(|f| f.why == "not known").map(|f| f.text.as_str()).collect();
    assert_eq!(unknown, ["10.0.1.3 … strange", "strange 1", "(hidden)"]);
}

#[test]
fn a_sync_group_is_one_group_with_one_word_for_each_key() {
    golden("group");
}

#[test]
fn what_is_tracked_becomes_a_check() {
    golden("trackers");
}

#[test]
fn what_check_refuses_is_not_written_and_never_told_as_exactly() {
    let all = golden("refused");
    for line in ["10.1.1.1/8 via", "from 10.0.0.1/8 table 4"] {
        assert_eq!(fate(&all, line).0, Fate::Changed, "{line}");
    }
    for line in [
        "10.3.0.0/16",
        "10.4.0.0/16",
        "10.7.0.0/16",
        "10.9.0.0/16",
        "blackhole 10.10.0.0/16",
        "10.11.0.0/16",
        "10.12.0.0/16",
        "10.13.0.0/16",
        "10.5.0.0/16 via 192.168.1.10 metric 5",
        "from 10.9.0.0/16 priority 5",
        "from 10.9.0.0/16 table 5 priority 7 no_track",
        "fwmark banana",
        "from 10.0.0.0/8 table 0",
        "priority 0",
        "from 10.0.0.0/8 table 4 suppress_prefixlength 200",
        "from 10.0.0.0/8 table 4 blackhole",
        "from 10.0.0.0/8 to fe80::/64",
        "192.168.1.4/24 … label eth0 x",
        "192.168.1.5/24 scope host",
        "vrrp_script zero",
        "notify_master",
    ] {
        assert_eq!(fate(&all, line).0, Fate::Unsupported, "{line}");
    }
}

#[test]
fn strict_mode_is_written_as_what_it_sets() {
    let all = golden("strict");
    assert!(all.toml.contains("accept = false"));
}

#[test]
fn quirks_are_kept_and_told() {
    let all = golden("quirks");
    let exactly = |line, text| assert_eq!(why(&all, line, text).0, Fate::Exactly, "{line} {text}");
    // keepalived takes 255 where a master has no priority.
    assert!(why(&all, 3, "state MASTER").1.contains("255"));
    assert!(all.toml.contains("owner = \"gw1\""));
    for (line, text) in [(6, "nopreempt"), (17, "nopreempt"), (18, "preempt_delay 10")] {
        exactly(line, text);
        assert!(why(&all, line, text).1.contains("keepalived does not heed it"));
    }
    assert_eq!(why(&all, 29, "state Master").0, Fate::Unsupported);
    assert!(why(&all, 13, "state BACKUP").1.contains("MASTER on line 12"));
    assert!(why(&all, 1, "//").1.contains("not known"));
    let ttl = all.findings.iter().find(|found| found.text == "unicast_ttl 64").expect("it is told");
    assert!(ttl.why.contains("without peers"), "{}", ttl.why);
    assert!(!all.toml.contains("hop_limit"), "{}", all.toml);
}

#[test]
fn passwords_are_in_the_keys_and_nowhere_else() {
    for (name, secrets) in [
        ("instance", &["longer-t", "six\n", "0123456789abcdef", "top-secret"][..]),
        ("strict", &["12345678"]),
        ("quirks", &["123456789", "lonely", "no-need"]),
        ("globals", &["hidden-word"]),
        ("language", &["secret"]),
    ] {
        let all = imported(name);
        let told = format!("{}{}{}", all.toml, all.report(name), all.to_json(name));
        for secret in secrets {
            assert!(!told.contains(secret), "{name}: {secret} is told");
        }
    }
    let keys: Vec<(String, Vec<u8>)> =
        imported("instance").keys.iter().map(|k| (k.name.clone(), k.content.to_vec())).collect();
    let expected = [
        ("vrrp-all.key".to_owned(), b"longer-t".to_vec()),
        ("vrrp-unicast-1.key".to_owned(), vec![1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
        ("vrrp-unicast-2.key".to_owned(), b"top-secret".to_vec()),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn key_files_are_named_where_they_will_be() {
    let options = Options { key_directory: Some("/etc/evergate/".into()), ..options() };
    let all = import("/k/quirks.conf", &mut Fixtures, &options).expect("it can be read");
    assert!(all.toml.contains("key_file = \"/etc/evergate/vrrp-master.key\""), "{}", all.toml);
    let (fate, why) = why(&all, 25, "auth_pass");
    assert_eq!(fate, Fate::Exactly);
    assert!(why.contains("/etc/evergate/vrrp-master.key"), "{why}");
}

#[test]
fn a_delay_of_a_later_member_is_told_as_not_that_of_the_group() {
    let group = "vrrp_sync_group G {\ngroup {\nV1\nV2\n}\n}\n";
    for line in ["preempt_delay 60", "nopreempt"] {
        let all = of(&format!("{group}{}{}", instance(1, ""), instance(2, line)));
        assert!(!all.toml.contains("failback"), "{}", all.toml);
        let (fate, why) = fate(&all, line);
        assert_eq!(fate, Fate::Changed);
        assert!(why.contains("that of its first instance"), "{why}");
    }
    let all = of(&format!("{group}{}{}", instance(1, "preempt_delay 60"), instance(2, "")));
    assert!(all.toml.contains("failback = \"60s\""), "{}", all.toml);
    assert!(fate(&all, "preempt_delay").1.contains("counted from"));
}

#[test]
fn a_virtual_interface_has_a_name_of_its_own() {
    let taken = |text: String| {
        let all = of(&text);
        let names = all.toml.lines().filter_map(|line| line.strip_prefix("virtual_mac = "));
        let names: Vec<String> = names.map(|name| name.trim_matches('"').to_owned()).collect();
        let told = all.of(Fate::Changed).filter(|found| found.text.starts_with("use_vmac"));
        (names, told.count())
    };
    let both = |line: &str| format!("{}{}", instance(1, line), instance(2, line));
    assert_eq!(taken(both("use_vmac")), (vec!["vrrp.3".into(), "vrrp.3.1".into()], 1));
    let long = "use_vmac a-name-of-16-byt";
    assert_eq!(taken(both(long)).0, ["vrrp.3", "vrrp.3.1"], "no interface can be called so");
    let names = taken(both("use_vmac name-of-15-byte")).0;
    assert_eq!(names, ["name-of-15-byte", "name-of-15-by.1"]);
    assert_eq!(taken(instance(1, "use_vmac eth1")), (vec!["eth1.1".into()], 1));
    let prefix = "global_defs {\nvmac_prefix a-prefix-of-15-\n}\n";
    let (names, told) = taken(format!("{prefix}{}", instance(1, "use_vmac")));
    assert_eq!((names, told), (vec!["vrrp.3".into()], 1));
}

#[test]
fn a_file_without_a_router_is_not_written_and_the_report_says_so() {
    let text = "virtual_server 10.0.0.1 80 {\nlvs_sched rr\n}\n";
    let all = import("/k/a", &mut One(text), &options()).expect("it can be read");
    assert_eq!(all.toml, "");
    assert!(all.keys.is_empty());
    let report = all.report("/k/a");
    assert!(report.contains("nothing of it can be translated"), "{report}");
    every_word_is_told("a", text, &all.findings);
}

#[test]
fn no_peer_is_no_fault_here_and_that_is_told() {
    let flag = "unicast_fault_no_peer";
    for (lines, expected) in [
        ("unicast_peer {\n}\n", Fate::Unsupported),
        ("unicast_src_ip 10.0.0.5\n", Fate::Unsupported),
        ("unicast_peer {\n10.0.1.7\n}\n", Fate::Exactly),
        ("", Fate::Exactly),
    ] {
        let all = of(&instance(1, &format!("{lines}{flag}")));
        assert_eq!(fate(&all, flag).0, expected, "{lines}");
        let says_peers = fate(&all, flag).1.contains("there are peers");
        assert_eq!(says_peers, all.toml.contains("unicast_peers"), "{lines}");
    }
    let all = of(&instance(1, "unicast_peer {\n}\nunicast_fault_no_peer no"));
    assert_eq!(fate(&all, flag).0, Fate::Exactly);
}

#[test]
fn what_strict_mode_resets_is_told_as_reset() {
    let lines = [
        "vrrp_down_timer_adverts 7",
        "vrrp_higher_prio_send_advert",
        "vrrp_lower_prio_no_advert no",
    ];
    let globals = format!("global_defs {{\nvrrp_strict\n{}\n}}\n", lines.join("\n"));
    let all = of(&format!("{globals}{}", instance(1, "")));
    for (line, key) in
        lines.iter().zip(["down_after", "advert_before_yield", "answer_lower = true"])
    {
        let (fate, why) = fate(&all, line);
        assert_eq!(fate, Fate::Exactly, "{line}");
        assert!(why.contains("strict mode does not allow it"), "{line}: {why}");
        assert!(!all.toml.contains(key), "{}", all.toml);
    }
    let all = of(&format!("{globals}{}{}", instance(1, ""), instance(2, "strict_mode off")));
    assert!(all.toml.contains("down_after = 7"), "{}", all.toml);
    assert_eq!(fate(&all, lines[0]).1, "[vrrp] down_after; not in strict mode, as there");
}

#[test]
fn a_fifo_that_nobody_can_own_is_left_out() {
    for words in ["/run/fifo @nobody", "/run/fifo root no/group", "run/fifo root"] {
        let globals =
            format!("global_defs {{\nnotify_fifo {words}\nnotify_fifo_script /bin/x\n}}\n");
        let all = of(&format!("{globals}{}", instance(1, "")));
        assert!(!all.toml.contains("fifo"), "{}", all.toml);
        assert_eq!(fate(&all, "notify_fifo_script").0, Fate::Unsupported);
        assert_eq!(fate(&all, &format!("notify_fifo {words}")).0, Fate::Unsupported);
    }
}
