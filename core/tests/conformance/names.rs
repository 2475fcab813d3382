//! Names of tests and of scenarios of the lab, and whether they exist.

use std::path::PathBuf;

use super::list::root;

/// Whether a test or a scenario of the lab with this name exists and runs.
pub fn resolve(name: &str) -> Result<(), String> {
    let stale = |why: &str| Err(format!("{name}: {why}"));
    if let Some(scenario) = name.strip_prefix("lab:") {
        // As a field, or as the first argument of a function that makes one.
        let line = format!("\"{scenario}\",");
        let has = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|t| t.contains(&line));
        let found = scenarios().iter().any(has);
        return if found { Ok(()) } else { stale("no scenario of the lab has this name") };
    }
    let Some((place, test)) = name.rsplit_once("::") else {
        return stale("neither a test nor a scenario");
    };
    let (file, indent) = match place.ends_with(".rs") {
        true => (Some(root().join(place)), ""),
        false => unit(place),
    };
    let Some(text) = file.and_then(|file| std::fs::read_to_string(file).ok()) else {
        return stale("there is no such file or module");
    };
    if runs(&text, indent, test) { Ok(()) } else { stale("no test of this name runs there") }
}

/// The file of a module of tests, such as `evergate_core::wire::vrrp::tests`, and how far its
/// functions are indented there.
fn unit(module: &str) -> (Option<PathBuf>, &'static str) {
    let Some((package, path)) = module.split_once("::") else { return (None, "") };
    let sources = root().join(package.trim_start_matches("evergate_")).join("src");
    let path = path.replace("::", "/");
    let file = |path: &str| {
        let places = [format!("{path}.rs"), format!("{path}/mod.rs")];
        places.map(|place| sources.join(place)).into_iter().find(|file| file.is_file())
    };
    if let Some(own) = file(&path) {
        return (Some(own), "");
    }
    // A module within the file of another one.
    let (outer, inner) = path.rsplit_once('/').unwrap_or(("lib", &path));
    let begin = format!("\nmod {inner} {{");
    let has = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|t| t.contains(&begin));
    (file(outer).filter(has), "    ")
}

/// Whether a source has a test of this name, indented so, that is not ignored.
pub fn runs(source: &str, indent: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().collect();
    let start = format!("{indent}fn {test}(");
    let Some(at) = lines.iter().position(|line| line.starts_with(&start)) else { return false };
    let above = lines[..at].iter().rev().map(|line| line.trim());
    let attributes: Vec<&str> = above.take_while(|line| line.starts_with("#[")).collect();
    attributes.contains(&"#[test]") && !attributes.iter().any(|line| line.contains("ignore"))
}

/// Whether a test of this name is anywhere in the sources; without its place, as pages for people name it.
pub fn exists(name: &str) -> bool {
    let crates = ["api", "cli", "core", "daemon", "fuzz", "import", "lab", "sim"];
    let mut open: Vec<PathBuf> = crates.iter().map(|name| root().join(name)).collect();
    // As a function, or as a row of a table of cases.
    let forms = [format!("fn {name}()"), format!("(\"{name}\",")];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).expect("a directory of sources");
        for path in entries.map(|entry| entry.expect("an entry of it").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                if forms.iter().any(|form| text.contains(form.as_str())) {
                    return true;
                }
            }
        }
    }
    false
}

fn scenarios() -> Vec<PathBuf> {
    let directory = root().join("lab/src/scenario");
    let entries = std::fs::read_dir(directory).expect("the scenarios of the lab");
    entries.map(|entry| entry.expect("an entry of the directory").path()).collect()
}
