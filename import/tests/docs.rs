//! The example of docs/import.md gives what the page says.

use std::path::Path;

use evergate_import::keepalived::{Files, Options, import};

struct Page(String);

impl Files for Page {
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn the_example_of_the_page_gives_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/import.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let between = |start: &str, end: &str| {
        let (_, rest) = page.split_once(start).expect("it begins");
        rest.split_once(end).expect("it ends").0.to_owned()
    };
    let options = Options { cluster: "edge".into(), host: "host".into(), ..Options::default() };
    let mut files = Page(between("<<'END'\n", "\nEND\n"));
    let all = import("/tmp/keepalived.conf", &mut files, &options).expect("it can be read");
    let expected = between("```toml\n", "```\n");
    assert!(all.toml.ends_with(&format!("\n\n{expected}")), "{}", all.toml);
    let report = all.report("/tmp/keepalived.conf");
    let told = between("what became of them:\n\n", "\n\n* *Exactly*");
    for line in told.lines().map(str::trim).filter(|line| *line != "...") {
        assert!(report.contains(line), "{line} is not in {report}");
    }
}
