//! `key`: one new key line, from the system's random source.

use evergate_api::config::secret::{KEY_BYTES, Secret};
use evergate_api::control::ErrorCode;
use serde_json::json;
use zeroize::Zeroizing;

use super::Ended;
use crate::context::Context;
use crate::failure::{Failure, exit};

/// 0, or 2 if the system has no randomness to give.
pub fn run(context: &mut Context) -> Ended {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        let text = format!("the system's random source does not answer: {error}");
        Failure::new(exit::ERRORS, ErrorCode::Internal, text).next("try again once it has booted")
    })?;
    let line = Secret::new(*bytes).to_line();
    context.show_own(&json!({ "key": *line }), || format!("{}\n", *line))?;
    Ok(exit::GOOD)
}
