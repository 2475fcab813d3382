//! Any bytes as a file of keepalived, behind a zero byte as one that it includes: no panic; what is
//! written is TOML with each key once, and the parser takes it, but for the key files; the same bytes
//! give the same; passwords are not told.

#[path = "../../../import/tests/today/mod.rs"]
mod today;

use evergate_api::config::{Sources, parse};
use evergate_import::keepalived::{Files, Options, import};

/// The file `/k/a`, which may include `/k/b`.
struct Pair<'b>(&'b [u8], &'b [u8]);

impl Files for Pair<'_> {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "/k/a" => Ok(self.0.to_vec()),
            "/k/b" => Ok(self.1.to_vec()),
            _ => Err("it is not there".to_owned()),
        }
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }
}

/// A password that no fuzzer writes elsewhere by chance.
const PASSWORD: &str = "Zq7-Zq7-Zq7-Zq7";

/// Lines that have a password somewhere; `@` stands for it.
const LINES: [&str; 17] = [
    "authentication { auth_type PASS auth_pass @",
    "}",
    "authentication { auth_type PASS",
    "auth_pass @ @",
    "@",
    "}",
    "auth_hmac { mode enforce key 1 hex:@",
    "active_key 1 @",
    "key 2 ascii:@ @",
    "}",
    "interface eth0 auth_pass @",
    "interface eth0 key 1 hex:@",
    "virtual_router_id 3 authentication auth_pass @",
    "track_interface { eth1 auth_pass weight @ }",
    "$PW = @",
    "~LST (PW, @) auth_pass $PW",
    "unknown_word auth_pass=@",
];

/// A statement with a password, and an instance with many, to be put behind whatever there is.
fn planted() -> String {
    let lines = LINES.join("\n").replace('@', PASSWORD);
    format!(
        "\nauthentication {{ auth_pass {PASSWORD}\n}}\nvrrp_instance planted {{\ninterface eth7\n\
         virtual_router_id 77\nvirtual_ipaddress {{\n10.77.77.77\n}}\n{lines}\n}}\n"
    )
}

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut first = first.to_vec();
    let has_word = String::from_utf8_lossy(bytes).contains("Zq7");
    first.extend_from_slice(planted().as_bytes());
    let options = Options { cluster: "edge".into(), host: "gw1".into(), ..Options::default() };
    let imported = import("/k/a", &mut Pair(&first, second), &options);
    let again = import("/k/a", &mut Pair(&first, second), &options);
    assert_eq!(imported, again, "the same bytes give the same");
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            assert!(has_word || !error.told("a").contains(PASSWORD));
            return false;
        }
    };
    let outcome = parse(Sources::from_text("edge.toml", &imported.toml));
    for problem in outcome.report.problems() {
        assert!(!["syntax", "set-twice"].contains(&problem.code), "{}", imported.toml);
    }
    // Without a router there is no text.
    if !imported.toml.is_empty() {
        let today = today::keys(&imported.toml);
        let outcome = parse(Sources::from_text("edge.toml", &today));
        assert!(!outcome.report.has_errors(), "{}{today}", outcome.report.render(false));
    }
    // The JSON has the configuration too.
    let told = format!("{}{}", imported.report("a"), imported.to_json("a"));
    assert!(has_word || !told.contains(PASSWORD), "{told}");
    true
}
