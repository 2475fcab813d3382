//! Programs that are run when a group changes its role, and the FIFO.

use serde_json::{Value, json};

use super::{described, reference, table};
use crate::config::check::{USER_DEFAULT, WORDS_MAX};
use crate::config::model::{NotifyKind, NotifyOf, PROCEDURES_MAX};

/// The keys of a group.
pub(super) fn add_to(group: &mut Value) {
    let steps = |text: &str| {
        json!({
            "type": "array", "maxItems": PROCEDURES_MAX, "items": program(), "description": text
        })
    };
    group["activate"] = steps("Programs that are run in order after a takeover.");
    group["deactivate"] = steps("Programs that are run in order before the addresses go.");
    group["procedures"] = described(table(how_run(), &[]), "How activate and deactivate are run.");
    group["notify"] = notify();
    group["notify_kind"] = json!({
        "enum": NotifyKind::WORDS.map(|(word, _)| word), "default": "group",
        "description": "As what keepalived would tell of the group: with a priority or without."
    });
}

fn program() -> Value {
    json!({ "anyOf": [
        { "type": "string", "pattern": "^exec:/" },
        {
            "type": "array", "minItems": 1, "maxItems": WORDS_MAX,
            "items": { "type": "string" }
        }
    ] })
}

pub(super) fn user() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn how_run() -> Value {
    json!({
        "timeout": reference("duration", "How long each may take, 10ms to 1h; default 30s."),
        "user": described(user(), &format!("Who runs them; default {USER_DEFAULT}.")),
        "user_group": described(user(), "As which group; default the user's own."),
    })
}

fn notify() -> Value {
    let mut properties = how_run();
    for (word, _) in NotifyOf::WORDS {
        properties[word] = program();
    }
    let text = "Programs that are told of each state, as keepalived tells its own.";
    described(table(properties, &[]), text)
}

pub(super) fn fifo() -> Value {
    let properties = json!({
        "fifo": {
            "type": "string", "pattern": "^/",
            "description": "A FIFO that gets a line for each new state of a group."
        },
        "fifo_script": described(program(), "A program that is started to read it."),
        "user": described(user(), &format!("Who may read it; default {USER_DEFAULT}.")),
        "user_group": described(user(), "Which group may; default the user's own."),
    });
    described(table(properties, &["fifo"]), "How other programs are told of all groups.")
}
