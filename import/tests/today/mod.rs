//! A configuration without the keys that the parser does not know yet, so that the rest can be
//! checked by it.

/// Keys that are planned.
const PLANNED: [&str; 15] = [
    "announce",
    "accept",
    "track",
    "notify",
    "notify_kind",
    "routes",
    "rules",
    "owner",
    "auth",
    "down_after",
    "answer_lower",
    "advert_before_yield",
    "start_delay",
    "multicast",
    "hop_limit",
];

/// The text with today's keys alone.
pub fn keys(toml: &str) -> String {
    let (mut text, mut skips_table, mut skips_array) = (String::new(), false, false);
    for line in toml.lines() {
        if line.starts_with('[') {
            skips_table = is_planned_table(line);
        }
        let key = line.split(" = ").next().unwrap_or_default();
        let is_planned = PLANNED.contains(&key) || key == "min_hop_limit";
        let skips = skips_table || skips_array || is_planned;
        skips_array = (skips_array || (is_planned && line.ends_with('['))) && line != "]";
        if !skips {
            text.push_str(&plain_addresses(line));
            text.push('\n');
        }
    }
    text
}

fn is_planned_table(header: &str) -> bool {
    header.starts_with("[check.") || header == "[notify]" || {
        let end = header.trim_end_matches(']').rsplit('.').next().unwrap_or_default();
        header.starts_with("[group.") && PLANNED.contains(&end)
    }
}

/// `{ address = "…", … }` is `"…"` today.
fn plain_addresses(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{ address = ") {
        let (address, more) = after.split_once(" }").expect("it is closed");
        text.push_str(before);
        text.push_str(address.split(", ").next().unwrap_or_default());
        rest = more;
    }
    text + rest
}
