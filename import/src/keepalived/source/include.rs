//! The `include` family.

use super::super::{glob, secrets};
use super::{Broken, FILES_MAX, Fate, INCLUDE_DEPTH_MAX, Place, Reader};

/// The keywords. Those behind the first say how much has to be there.
const KEYWORDS: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// The longest path, in bytes; what is longer is no file.
const PATH_MAX: usize = 1_024;
/// The most braces in a path.
const OPEN_BRACES_MAX: usize = 32;

/// What a line includes, if it does.
pub fn path(line: &str) -> Option<&str> {
    let (keyword, path) = line.split_once(char::is_whitespace)?;
    KEYWORDS.contains(&keyword).then(|| path.trim().trim_matches('"'))
}

impl Reader<'_> {
    /// Reads what a line includes, in its place.
    pub(super) fn include(
        &mut self,
        line: &str,
        pattern: &str,
        directory: &str,
        place: Place,
    ) -> Result<(), Broken> {
        if pattern.len() > PATH_MAX || pattern.matches('{').count() > OPEN_BRACES_MAX {
            return Err(Broken::at(place, "this stands for too many files"));
        }
        if self.depth >= INCLUDE_DEPTH_MAX {
            let text = format!(
                "more than {INCLUDE_DEPTH_MAX} files within files: does one include itself?"
            );
            return Err(Broken::at(place, text));
        }
        let Some(patterns) = glob::braces(pattern) else {
            return Err(Broken::at(place, "these braces stand for too many files"));
        };
        let shown = secrets::line(line);
        let name = |path: &str| if shown == line { path.to_owned() } else { "it".to_owned() };
        let (mut count, mut missing) = (0, Vec::new());
        for pattern in patterns {
            let absolute =
                if pattern.starts_with('/') { pattern } else { format!("{directory}/{pattern}") };
            let paths = glob::matching(&absolute, self.files);
            if paths.is_empty() {
                missing.push(format!("nothing matches {}", name(&absolute)));
            }
            for path in paths {
                match self.files.read(&path) {
                    Ok(content) => {
                        count += 1;
                        self.included(&path, &content, place)?;
                    }
                    Err(why) => missing.push(format!("{}: {why}", name(&path))),
                }
            }
        }
        let (fate, why) = match (&missing[..], count) {
            ([], 1) => (Fate::Exactly, "read in its place".to_owned()),
            ([], count) => (Fate::Exactly, format!("{count} files read in its place")),
            (missing, count) => {
                (Fate::Unsupported, format!("read: {count}; not read: {}", missing.join("; ")))
            }
        };
        self.ledger.tell(place, shown, fate, why);
        Ok(())
    }

    fn included(&mut self, path: &str, content: &[u8], place: Place) -> Result<(), Broken> {
        if self.source.files.len() >= FILES_MAX {
            return Err(Broken::at(place, format!("more than {FILES_MAX} files")));
        }
        self.source.files.push(path.to_owned());
        self.depth += 1;
        let ended = self.file(self.source.files.len() - 1, path, content);
        self.depth -= 1;
        ended
    }
}
