//! `schema`: the JSON Schema of the configuration, for editors.

use evergate_api::config;

use super::Ended;
use crate::context::Context;
use crate::failure::exit;

/// Always 0.
pub fn run(context: &mut Context) -> Ended {
    let schema = config::schema();
    context.show_own(&schema, || format!("{schema:#}\n"))?;
    Ok(exit::GOOD)
}
