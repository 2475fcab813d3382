//! `import conntrackd FILE`: the file of another program as ours, and what became of each statement.

use std::io::{Read as _, Write as _};
use std::path::Path;

use evergate_api::control::ErrorCode;
use evergate_import::conntrackd;

use super::Ended;
use crate::args::Import;
use crate::context::Context;
use crate::failure::{Failure, exit};

/// The most bytes of a file that are read.
const FILE_MAX: u64 = 1 << 20;

/// 0 exact, 1 with changes or gaps, 2 unreadable.
pub fn run(context: &mut Context, what: Import) -> Ended {
    let Import::Conntrackd(what) = what;
    let text = read(&what.file)?;
    let name = what.file.display().to_string();
    let imported = conntrackd::import(&text, &what.peer)
        .map_err(|error| Failure::new(exit::ERRORS, ErrorCode::BadConfig, error.told(&name)))?;
    context.show_own(&imported.to_json(&name), || imported.toml.clone())?;
    if !context.json {
        std::io::stderr().write_all(imported.report(&name).as_bytes())?;
    }
    Ok(if imported.is_exact() { exit::GOOD } else { exit::WARNINGS })
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |text: String| {
        let text = format!("{} cannot be read: {text}", path.display());
        Failure::new(exit::ERRORS, ErrorCode::File, text)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let length = file.take(FILE_MAX + 1).read_to_string(&mut text);
    match length {
        Ok(length) if length as u64 > FILE_MAX => Err(failed("it is larger than 1 MiB".into())),
        Ok(_) => Ok(text),
        Err(error) => Err(failed(error.to_string())),
    }
}
