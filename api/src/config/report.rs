//! Problems of a configuration and how people see them: file, line, column, a caret, what to do.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};
use serde::{Deserialize, Serialize};

use super::mask::mask;
use super::source::{SourceFile, Sources};

/// The most problems that are kept; a file with more is not a configuration.
pub const PROBLEMS_MAX: usize = 100;

/// A place in the text of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The index of the file in [`Sources::files`].
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but likely does not do what was meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// A stable code.
    pub code: &'static str,
    /// One sentence.
    pub text: String,
    /// The place.
    pub at: Option<Span>,
    /// Other places that belong to it, each with a few words.
    pub also: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn error(code: &'static str, text: impl Into<String>) -> Self {
        let (text, also) = (text.into(), Vec::new());
        Self { level: Level::Error, code, text, at: None, also, help: None }
    }

    pub(crate) fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, text) }
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.at = Some(span);
        self
    }

    pub(crate) fn also(mut self, span: Span, words: impl Into<String>) -> Self {
        self.also.push((span, words.into()));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A problem for machines: what `evergate check --json` prints for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// `error` or `warning`.
    pub level: String,
    /// A stable code.
    pub code: String,
    /// One sentence.
    pub text: String,
    /// The file, if it has a place.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// What to do.
    pub help: Option<String>,
}

/// All problems of one configuration, with the texts they point into.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Sources,
    problems: Vec<Problem>,
}

impl Report {
    /// Problems in the order of their places; more than [`PROBLEMS_MAX`] are cut, errors last.
    pub(crate) fn new(sources: Sources, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.level, problem.at));
        problems.truncate(PROBLEMS_MAX);
        problems.sort_by_key(|problem| problem.at);
        Self { sources, problems }
    }

    /// Every problem, in the order of their places.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Is any of them an error?
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.level == Level::Error)
    }

    /// Is there nothing to say?
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The exit code of `evergate check`: 0 good, 1 warnings, 2 errors.
    pub fn exit_code(&self) -> u8 {
        match (self.has_errors(), self.is_empty()) {
            (true, _) => 2,
            (false, false) => 1,
            (false, true) => 0,
        }
    }

    /// All problems as people see them, with an empty line between.
    pub fn render(&self, color: bool) -> String {
        let texts: Vec<String> =
            self.problems.iter().map(|problem| self.render_one(problem, color)).collect();
        texts.join("\n\n")
    }

    /// Each problem of one level as people see it, without colour.
    pub fn texts(&self, level: Level) -> Vec<String> {
        let wanted = self.problems.iter().filter(|problem| problem.level == level);
        wanted.map(|problem| self.render_one(problem, false)).collect()
    }

    /// All problems for machines.
    pub fn views(&self) -> Vec<ProblemView> {
        self.problems.iter().map(|problem| self.view(problem)).collect()
    }

    fn view(&self, problem: &Problem) -> ProblemView {
        let place = problem.at.and_then(|span| self.place(span));
        let level = match problem.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        ProblemView {
            level: level.to_owned(),
            code: problem.code.to_owned(),
            text: problem.text.clone(),
            file: place.map(|(file, _, _)| file.name.clone()),
            line: place.map(|(_, line, _)| line),
            column: place.map(|(_, _, column)| column),
            help: problem.help.clone(),
        }
    }

    fn place(&self, span: Span) -> Option<(&SourceFile, usize, usize)> {
        let file = self.sources.files.get(span.file)?;
        let before = file.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some((file, line, before[line_start..].chars().count() + 1))
    }

    fn render_one(&self, problem: &Problem, color: bool) -> String {
        let title = match problem.level {
            Level::Error => Title::ERROR,
            Level::Warning => Title::WARNING,
        };
        let title = title.primary_title(problem.text.as_str()).id(problem.code);
        let mut group = Group::with_title(title);
        for snippet in self.snippets(problem) {
            group = group.element(snippet);
        }
        if let Some(help) = &problem.help {
            group = group.element(Title::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    /// One snippet for each file that the problem points into, the main one first.
    fn snippets<'a>(
        &'a self,
        problem: &'a Problem,
    ) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let Some(at) = problem.at else { return Vec::new() };
        let mut order = vec![at.file];
        for (span, _) in &problem.also {
            if !order.contains(&span.file) {
                order.push(span.file);
            }
        }
        let mut snippets = Vec::new();
        for index in order {
            let Some(file) = self.sources.files.get(index) else { continue };
            let mut snippet = Snippet::source(mask(&file.text)).path(&file.name).fold(true);
            if index == at.file {
                snippet = snippet.annotation(AnnotationKind::Primary.span(at.start..at.end));
            }
            for (span, words) in problem.also.iter().filter(|(span, _)| span.file == index) {
                let annotation = AnnotationKind::Context.span(span.start..span.end);
                snippet = snippet.annotation(annotation.label(words.as_str()));
            }
            snippets.push(snippet);
        }
        snippets
    }
}
