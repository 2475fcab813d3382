//! The verb `import`: what goes to which output, the exit codes, the files.

mod fake;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use evergate_api::config::{Sources, parse};
use fake::{Scratch, evergate};

const PAIR: &str = "include part.conf
vrrp_instance lan {
    interface lan
    virtual_router_id 51
    @gw1 priority 200
    @gw2 priority 100
    authentication {
        auth_type PASS
        auth_pass very-secret
    }
    virtual_ipaddress {
        10.91.0.1/24
    }
}
";

fn conf(scratch: &Scratch) -> String {
    scratch.write("part.conf", "global_defs {\n    router_id gw1\n    strange\n}\n");
    scratch.write("keepalived.conf", PAIR)
}

#[test]
fn toml_goes_to_standard_output_and_the_report_to_standard_error() {
    let scratch = Scratch::new();
    let file = conf(&scratch);
    let run = evergate(&["import", "keepalived", &file, "--config-id", "gw2"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.text.contains("[cluster]\nname = \"edge\"\n\n[node.gw1]\n"), "{run:?}");
    assert!(
        run.text.contains("auth = { type = \"pass\", key_file = \"vrrp-lan.key\" }"),
        "{run:?}"
    );
    assert!(run.errors.contains(&format!("\n  {file}:5  @gw1 priority …: left out")), "{run:?}");
    let part = scratch.path("part.conf").display().to_string();
    assert!(run.errors.contains(&format!("\n  {part}:3  strange: not known\n")), "{run:?}");
    assert!(run.errors.contains(&format!("\n  {file}:9  auth_pass (hidden): put it")), "{run:?}");
    assert!(!format!("{run:?}").contains("very-secret"));
}

#[test]
fn names_and_json_can_be_asked_for() {
    let scratch = Scratch::new();
    let file = conf(&scratch);
    let words = ["--json", "import", "keepalived", &file, "--node", "gw9", "--cluster", "lab"];
    let run = evergate(&words);
    assert_eq!((run.code, run.errors.as_str()), (1, ""), "{run:?}");
    let json: serde_json::Value = serde_json::from_str(&run.text).expect("it is JSON");
    let toml = json["toml"].as_str().expect("it is text");
    assert!(toml.contains("name = \"lab\"\n\n[node.gw9]\n"), "{toml}");
    assert_eq!(json["unsupported"][0]["line"], 3);
    assert!(!run.text.contains("very-secret"));
    let run = evergate(&["import", "keepalived", &file, "--node", "no name"]);
    assert_eq!(run.code, 64, "{run:?}");
}

#[test]
fn an_exact_file_is_0_and_one_that_cannot_be_read_is_2() {
    let scratch = Scratch::new();
    let exact = "vrrp_instance lan {\ninterface lan\nvirtual_router_id 51\n\
                 virtual_ipaddress { 10.91.0.1/24\n} }\n";
    let run = evergate(&["import", "keepalived", &scratch.write("a", exact)]);
    assert_eq!(run.code, 0, "{run:?}");
    let open = scratch.write("b", "vrrp_instance lan {\n interface lan {\n}");
    let run = evergate(&["import", "keepalived", &open]);
    assert_eq!((run.code, run.text.as_str()), (2, ""), "{run:?}");
    let told = format!("{open}:1: the braces of `vrrp_instance` are not closed");
    assert!(run.errors.contains(&told), "{run:?}");
    let run = evergate(&["import", "keepalived", "/no/such/file"]);
    assert!(run.code == 2 && run.errors.contains("/no/such/file: it cannot be read"), "{run:?}");
    let run = evergate(&["import", "keepalived", "/dev/zero"]);
    assert!(run.code == 2 && run.errors.contains("no regular file"), "{run:?}");
}

#[test]
fn key_files_are_for_their_owner_and_never_written_over() {
    let scratch = Scratch::new();
    let file = conf(&scratch);
    let directory = scratch.path("").display().to_string();
    let words = ["import", "keepalived", &file, "--key-dir", &directory];
    let run = evergate(&words);
    assert_eq!(run.code, 1, "{run:?}");
    let key = scratch.path("vrrp-lan.key");
    assert_eq!(std::fs::read(&key).expect("it is written"), b"very-sec", "the 8 bytes that count");
    let mode = std::fs::metadata(&key).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(run.text.contains(&format!("key_file = \"{}\"", key.display())), "{run:?}");
    std::fs::write(&key, "mine").expect("it is ours");
    let run = evergate(&words);
    assert_eq!((run.code, run.text.as_str()), (2, ""), "{run:?}");
    assert!(run.errors.contains("is there already"), "{run:?}");
    assert_eq!(std::fs::read(&key).expect("it is there"), b"mine");
    let run = evergate(&["import", "keepalived", &file, "--key-dir", "/no/such/directory"]);
    assert_eq!((run.code, run.text.as_str()), (2, ""), "{run:?}");
}

#[test]
fn the_command_line_of_ucarp_is_taken_as_it_is() {
    let line = "ucarp --interface=eth0 -s 10.1.1.1 -v 7 --pass=very-secret -a 10.1.1.252 -z -B";
    let words: Vec<&str> =
        ["import", "ucarp", "--node", "gw1"].into_iter().chain(line.split(' ')).collect();
    let run = evergate(&words);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.text.contains("[node.gw1]\n") && run.text.contains("vrid = 7\n"), "{run:?}");
    assert!(run.errors.contains("\n  argument:7  --pass=(hidden): "), "{run:?}");
    assert!(!format!("{run:?}").contains("very-secret"));
    // Without the name of the program, too.
    let run = evergate(&["import", "ucarp", "-i", "eth0", "-v", "7", "-a", "10.1.1.252"]);
    assert_eq!(run.code, 1, "{run:?}");
    let run = evergate(&["import", "ucarp", "ucarp", "-v", "7"]);
    assert!(run.code == 2 && run.errors.contains("--interface is missing"), "{run:?}");
}

/// Where Debian's package puts the samples, unless the environment names another directory.
const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

#[test]
fn the_samples_of_debians_package_are_read_and_told_of_line_by_line() {
    let named = std::env::var_os("EVERGATE_KEEPALIVED_SAMPLES").map(PathBuf::from);
    let directory = named.unwrap_or_else(|| SAMPLES.into());
    let Ok(entries) = std::fs::read_dir(&directory) else {
        println!(
            "skipped: {} is not there; EVERGATE_KEEPALIVED_SAMPLES names another",
            directory.display()
        );
        return;
    };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut count = 0;
    for path in paths.filter(|path| path.to_string_lossy().contains("keepalived.conf")) {
        sample(&path);
        count += 1;
    }
    assert!(count > 0, "no keepalived.conf* in {}", directory.display());
}

fn sample(path: &Path) {
    let file = path.display().to_string();
    let run = evergate(&["--json", "import", "keepalived", &file, "--config-id", "high"]);
    assert_eq!(run.code, 1, "each has something that is not here: {run:?}");
    let json: serde_json::Value = serde_json::from_str(&run.text).expect("it is JSON");
    let toml = json["toml"].as_str().expect("it is text");
    let outcome = parse(Sources::from_text("edge.toml", toml));
    let report = outcome.report.render(false);
    assert!(!report.contains("error[syntax]"), "{file}: {report}");
    let parts = ["exactly", "changed", "unsupported"];
    let told: Vec<u64> = parts
        .iter()
        .flat_map(|part| json[part].as_array().expect("each part is there"))
        .filter_map(|found| found["line"].as_u64())
        .collect();
    let text = std::fs::read_to_string(path).expect("it is text");
    for (index, line) in text.lines().enumerate() {
        let plain = line.split(['#', '!']).next().unwrap_or_default();
        let is_told = told.contains(&(index as u64 + 1));
        assert!(is_told || plain.trim_matches([' ', '\t', '{', '}']).is_empty(), "{file}: {line}");
    }
}

#[test]
fn a_file_without_a_router_is_2_and_writes_nothing_but_the_report() {
    let scratch = Scratch::new();
    let file = scratch.write("lvs.conf", "virtual_server 10.0.0.1 80 {\nlvs_sched rr\n}\n");
    let run = evergate(&["import", "keepalived", &file]);
    assert_eq!(run.code, 2, "{run:?}");
    assert_eq!(run.text.trim(), "");
    assert!(run.errors.contains("nothing of it can be translated"), "{run:?}");
    assert!(run.errors.contains("lvs_sched rr"), "{run:?}");
}
