//! The configuration: one file, the same on every node.
//!
//! [`load`] reads a file or a directory and returns an [`Outcome`]: the [`Config`] if it has no
//! error, and the [`Report`] with every problem at once. Inside, the text becomes a tree with
//! places (`tree`), the tree becomes the model with every type and range checked (`walk`), and the
//! model is checked as a whole (`lint`). The module does not look at the machine that it runs on:
//! an interface that is missing here is no matter of the file.

mod digest;
mod duration;
mod lint;
mod mask;
mod paths;
mod syntax;
mod tree;
mod walk;
mod words;

pub mod advert_key;
pub mod check;
pub mod model;
pub mod plan;
pub mod report;
pub mod schema;
pub mod secret;
pub mod source;

use std::path::Path as FilePath;

pub use digest::name_hash;
pub use model::Config;
pub use paths::Path;
pub use plan::{Plan, diff};
pub use report::{Level, Problem, ProblemView, Report};
pub use schema::schema;
pub use source::{SourceError, Sources};
pub use words::NAME_MAX;

use tree::Table;

/// What reading a configuration gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; none if it has errors.
    pub config: Option<Config>,
    /// Every problem, errors and warnings.
    pub report: Report,
}

/// Reads and checks a file, or the `*.toml` files of a directory.
pub fn load(path: &FilePath) -> Result<Outcome, SourceError> {
    Ok(parse(Sources::read(path)?))
}

/// Checks texts that were read already.
pub fn parse(sources: Sources) -> Outcome {
    let mut problems = Vec::new();
    let mut tree = Table::default();
    for (index, file) in sources.files.iter().enumerate() {
        let (table, errors) = toml::de::DeTable::parse_recoverable(&file.text);
        let table = Table::from_toml(index, &file.text, table.get_ref());
        problems.extend(syntax::problems(index, &file.text, &errors, &table));
        tree.merge(table, "", &mut problems);
    }
    let broken = !problems.is_empty();
    let mut found = Vec::new();
    let config = walk::walk(&tree, &sources, &mut found);
    if broken {
        found = certain(&sources, &problems, found);
    } else {
        lint::lint(&tree, &config, &mut found);
    }
    problems.extend(found);
    let report = Report::new(sources, problems);
    let config = (!report.has_errors()).then_some(config);
    Outcome { config, report }
}

/// After an error of syntax the tree is incomplete: of what else was found, only what is wrong by
/// itself is told, and nothing on a line that is told of already.
fn certain(sources: &Sources, told: &[Problem], found: Vec<Problem>) -> Vec<Problem> {
    let line = |problem: &Problem| {
        let at = problem.at?;
        let file = sources.files.get(at.file)?;
        Some((at.file, syntax::line_of(&file.text, at.start)))
    };
    let lines: Vec<_> = told.iter().filter_map(line).collect();
    let by_itself = |problem: &Problem| {
        matches!(problem.code, "unknown-key" | "bad-value" | "no-unit" | "no-prefix" | "bad-name")
            && line(problem).is_some_and(|line| !lines.contains(&line))
    };
    found.into_iter().filter(by_itself).collect()
}
