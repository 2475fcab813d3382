//! Files that are as large as they may be: what there is no room for is told, and nothing takes
//! long.

use std::fmt::Write as _;

use evergate_import::keepalived::{Files, limits};
use evergate_import::keepalived::{NoFiles, Options, import};
use evergate_import::{Fate, Imported};

struct One(String);

impl Files for One {
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&mut self, path: &str) -> Vec<String> {
        NoFiles.list(path)
    }
}

fn imported(text: String) -> Imported {
    let options = Options { cluster: "edge".into(), host: "gw1".into(), ..Options::default() };
    import("/k/a", &mut One(text), &options).expect("it is not too large")
}

#[test]
fn instances_beyond_the_limit_are_left_out_and_told() {
    let text = "$V= \\\nvrrp_instance V${I}.${N} { \\\ninterface eth${I} \\\nvirtual_router_id ${N} \\\n\
                virtual_ipaddress { 10.${I}.${N}.1/24 \\\n} }\n~SEQ(I,0,5) ~SEQ(N,1,200) $V\n";
    let all = imported(text.to_owned());
    assert_eq!(all.toml.matches("\n[group.").count(), 2 * limits::INSTANCES_MAX);
    let left_out =
        all.of(Fate::Unsupported).filter(|found| found.text.starts_with("vrrp_instance"));
    assert_eq!(left_out.count(), 1_200 - limits::INSTANCES_MAX);
}

#[test]
fn an_instance_that_advertises_nothing_is_left_out_and_told() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\n\
                virtual_ipaddress_excluded {\n10.0.0.1/24\n}\n}\n";
    let all = imported(text.to_owned());
    assert!(!all.toml.contains("[group."), "{}", all.toml);
    let address = all.of(Fate::Unsupported).find(|found| found.text == "10.0.0.1/24");
    assert!(address.is_some_and(|found| found.why.contains("advertises no address")));
}

#[test]
fn a_user_that_cannot_be_is_not_taken_over() {
    let all = imported("global_defs {\nscript_user r/24\n}\n".to_owned());
    let told = all.of(Fate::Unsupported).find(|found| found.text.contains("r/24"));
    assert!(told.is_some_and(|found| found.why == "no user or group has such a name"));
}

#[test]
fn names_that_become_the_same_do_not_make_it_slow() {
    let mut text = String::new();
    for number in 0..limits::CHECKS_MAX {
        let name = char::from_u32(0x4e00 + u32::try_from(number).expect("it is small"));
        let _ = writeln!(text, "vrrp_script {} {{ script /bin/x }}", name.expect("a character"));
    }
    let mut block = String::new();
    for number in 0..limits::CHECKS_MAX {
        let name = char::from_u32(0x4e00 + u32::try_from(number).expect("it is small"));
        let _ = writeln!(block, "{}", name.expect("a character"));
    }
    let _ = writeln!(
        text,
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n10.0.0.1/24\n}}\n\
         track_script {{\n{block}}}\ntrack_interface {{\neth1\n}}\n}}"
    );
    let all = imported(text);
    assert_eq!(all.toml.matches("\n[check.").count(), limits::CHECKS_MAX);
    let last = all.of(Fate::Unsupported).next().expect("one too many");
    assert_eq!((last.text.as_str(), last.why.contains("1024")), ("eth1", true));
}

#[test]
fn the_longest_lines_of_the_most_words_are_told_of() {
    let line = "10.0.0.1/24 ".to_owned() + &"home ".repeat(1_000);
    let lines = format!("{line}\n").repeat(200);
    let all = imported(format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n{lines}}}\n}}\n"
    ));
    assert!(all.findings.len() > 1_000, "{}", all.findings.len());
}
