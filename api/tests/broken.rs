//! What people are told about a broken file, letter by letter: `config/broken/NAME.toml` gives
//! `NAME.txt`. After a change of words: `EVERGATE_BLESS=1 cargo test -p evergate-api --test broken`
//! writes the texts anew; read the difference before you keep it.

use std::path::{Path, PathBuf};

use evergate_api::config::source::SourceFile;
use evergate_api::config::{Sources, load, parse};

/// Set in the environment, it makes what is told now what is agreed.
const BLESS: &str = "EVERGATE_BLESS";

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/broken");
    let entries = std::fs::read_dir(directory).expect("the directory of cases");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry of the directory").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
}

fn told(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a case is text");
    format!("{}\n", parse(Sources::from_text("edge.toml", &text)).report.render(false))
}

#[test]
fn each_broken_file_is_told_in_the_words_agreed() {
    let cases = cases();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    for path in cases {
        let agreed = path.with_extension("txt");
        if std::env::var_os(BLESS).is_some() {
            std::fs::write(&agreed, told(&path)).expect("the case is writable");
        }
        let expected = std::fs::read_to_string(&agreed).unwrap_or_default();
        assert_eq!(told(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_key_set_in_two_files_names_both_places() {
    let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
    let files = vec![
        file("conf.d/10-cluster.toml", "[cluster]\nname = \"edge\"\n[node.gw1]\n"),
        file("conf.d/20-lan.toml", "# mine\n[cluster]\nname = \"core\"\n"),
    ];
    let report = parse(Sources { files, directory: "conf.d".into() }).report;
    let expected = "\
error[set-twice]: `cluster.name` is set in two files
 --> conf.d/20-lan.toml:3:1
  |
3 | name = \"core\"
  | ^^^^
  |
 ::: conf.d/10-cluster.toml:2:1
  |
2 | name = \"edge\"
  | ---- first set here
  |
  = help: keep one of them; the files of a directory are one configuration";
    assert_eq!(report.render(false), expected);
}

#[test]
fn a_directory_is_read_in_lexical_order_and_says_when_it_is_empty() {
    let directory = std::env::temp_dir().join(format!("evergate-api-test-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the test");
    let empty = load(&directory).expect_err("nothing in it").to_string();
    assert!(empty.contains("no *.toml file"), "{empty}");
    for (name, text) in [("b.toml", "[node.b]\n"), ("a.toml", "[node.a]\n"), ("c.txt", "?")] {
        std::fs::write(directory.join(name), text).expect("a file for the test");
    }
    let sources = Sources::read(&directory).expect("two files");
    let texts: Vec<&str> = sources.files.iter().map(|file| file.text.as_str()).collect();
    std::fs::remove_dir_all(&directory).expect("the test's own directory");
    assert_eq!(texts, ["[node.a]\n", "[node.b]\n"]);
    let missing = load(&directory).expect_err("removed").to_string();
    assert!(missing.contains("cannot read"), "{missing}");
}
