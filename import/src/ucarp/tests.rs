use evergate_api::config::{Sources, parse};

use super::*;

fn imported(line: &str) -> Result<Imported, Unreadable> {
    let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let options = Options { cluster: "edge".into(), node: "gw1".into() };
    import(&arguments, &options)
}

const WHOLE: &str = "ucarp --interface=eth0 --srcip=10.1.1.1 --vhid=1 --pass=secret-word \
                     --addr=10.1.1.252 --upscript=/etc/vip-up.sh --downscript=/etc/vip-down.sh \
                     --advbase 2 --advskew=50 --preempt --neutral --shutdown --deadratio=4 \
                     --xparam=extra --mcast=224.0.0.19 --daemonize";

#[test]
fn a_command_line_becomes_a_group_with_one_router() {
    let all = imported(WHOLE).expect("it can be read");
    let expected = "[cluster]
name = \"edge\"

[node.gw1]
priority = 204

[vrrp]
advert = \"2s\"
down_after = 4
multicast = { ipv4 = \"224.0.0.19\" }

[group.carp-1]
activate = [\"exec:/etc/vip-up.sh eth0 10.1.1.252 extra\"]
deactivate = [\"exec:/etc/vip-down.sh eth0 10.1.1.252 extra\"]
procedures = { user = \"root\" }

[group.carp-1.router.carp]
interface = \"eth0\"
vrid = 1
addresses = [\"10.1.1.252/32\"]
source = { gw1 = \"10.1.1.1\" }
";
    assert!(all.toml.starts_with("# Made from"), "{}", all.toml);
    assert!(all.toml.ends_with(expected), "{}", all.toml);
    let told = format!("{}{}", all.report("argument"), all.to_json("argument"));
    assert!(!told.contains("secret-word"), "{told}");
    assert!(told.contains("argument:5  --pass=(hidden): "), "{told}");
    // One for the program, one for each option.
    assert_eq!(all.findings.len(), 17);
}

#[test]
fn the_least_is_good_by_itself() {
    let all = imported("-i eth0 -s10.1.1.2 -v 7 -p x -a 10.1.1.252 -k 154 -zB").expect("fine");
    let outcome = parse(Sources::from_text("edge.toml", &all.toml));
    assert!(outcome.report.is_empty(), "{}\n{}", outcome.report.render(false), all.toml);
    assert!(all.toml.contains("failback = \"manual\""), "without --preempt: {}", all.toml);
    assert!(!all.toml.contains("\npriority"), "254 less 154 is our default: {}", all.toml);
    assert!(!all.is_exact(), "another protocol is never the same");
    let last = all.findings.last().expect("there are some");
    assert_eq!((last.text.as_str(), last.line), ("--daemonize", 12));
}

#[test]
fn skew_never_takes_all_of_the_priority() {
    let all = imported("-i eth0 -v 7 -a 10.1.1.252 -k 255").expect("fine");
    assert!(all.toml.contains("priority = 1\n"), "{}", all.toml);
    let all = imported("-i eth0 -v 7 -a 10.1.1.252 -k 256").expect("fine");
    assert!(all.toml.contains("priority = 254\n"), "{}", all.toml);
    let skew = all.findings.iter().find(|found| found.text == "--advskew=256").expect("told");
    assert_eq!(skew.fate, Fate::Unsupported);
}

#[test]
fn scripts_are_told_what_changes_for_them() {
    let why = |line: &str| {
        let all = imported(line).expect("fine");
        let found = all.findings.iter().find(|found| found.text.contains("script")).expect("told");
        (found.fate, found.why.clone())
    };
    let (fate, text) = why("-i eth0 -v 7 -a 10.1.1.252 -d /down");
    assert_eq!(fate, Fate::Changed);
    assert!(text.contains("run at the end too"), "{text}");
    let (_, text) = why("-i eth0 -v 7 -a 10.1.1.252 -u up");
    assert!(text.contains("/usr/bin/env") && text.contains("take that out"), "{text}");
    let all = imported("-i eth0 -v 7 -a 10.1.1.252 -n -x \"' -u /up").expect("fine");
    let array = "activate = [[\"exec:/up\", \"eth0\", \"10.1.1.252\", \"\\\"'\"]]";
    assert!(all.toml.contains(array), "{}", all.toml);
    let outcome = parse(Sources::from_text("edge.toml", &all.toml));
    assert!(outcome.config.is_some(), "{}", outcome.report.render(false));
    let neutral = all.findings.iter().find(|found| found.text == "--neutral").expect("told");
    assert_eq!(neutral.fate, Fate::Changed, "{neutral:?}");
}

#[test]
fn the_last_of_two_counts() {
    let all = imported("-i eth0 -v 7 -v 8 -a 10.1.1.252").expect("fine");
    assert!(all.toml.contains("vrid = 8"), "{}", all.toml);
    let first = all.findings.iter().find(|found| found.text == "--vhid=7").expect("told");
    assert!(first.why.contains("the last"), "{first:?}");
}

#[test]
fn what_ucarp_would_refuse_is_told_with_its_argument() {
    for (line, argument) in [
        ("ucarp -i eth0 -v 1 -a 10.0.0.1 secret", Some(8)),
        ("-i eth0 -v 1 -a 10.0.0.1 -Q", Some(7)),
        ("-i eth0 -v 1 -a 10.0.0.1 --none", Some(7)),
        ("-i eth0 -v 1 -a 10.0.0.1 --adv=1", Some(7)),
        ("-i eth0 -v 1 -a 10.0.0.1 --preempt=1", Some(7)),
        ("-i eth0 -v 1 -a 10.0.0.1 --vhid", Some(7)),
        ("-i eth0 -v 1 -a 10.0.0.1 -b", Some(7)),
        ("-v 1 -a 10.0.0.1", None),
        ("-i eth0 -a 10.0.0.1", None),
        ("-i eth0 -v 300 -a 10.0.0.1", None),
        ("-i eth0 -v 1 -a fd00::1", None),
    ] {
        let error = imported(line).expect_err(line);
        assert_eq!(error.line, argument, "{line}: {error:?}");
        assert!(!error.told("argument").contains("secret"), "{error:?}");
    }
    let many = "-D ".repeat(300);
    assert!(imported(many.trim()).is_err());
}

#[test]
fn a_password_that_has_slipped_is_not_told() {
    for line in [
        "-i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.252 -PsZq7",
        "-i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.252 -pZq7",
        "-i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.252 -P Zq7",
        "-i eth0 -s 10.1.1.1 -v Zq7 -a 10.1.1.252",
        "-i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.252 --password=Zq7",
        "-i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.252 --pass --Zq7",
    ] {
        let told = match imported(line) {
            Ok(all) => format!("{}{}", all.report("a"), all.to_json("a")),
            Err(error) => error.told("a"),
        };
        assert!(!told.contains("Zq7"), "{line}: {told}");
    }
}
