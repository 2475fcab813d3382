//! What of a statement may be repeated in the report. Passwords may not.

/// What is shown in place of a secret word.
const HIDDEN: &str = "(hidden)";

/// Keywords of the blocks that hold secrets, whose values are none.
const PLAIN: [&str; 5] = ["auth_type", "active_key", "anti_replay", "time_window", "mode"];

/// The words as the report may show them. `block`: the keyword of the block they stand in.
pub fn shown(words: &[String], block: &str) -> Vec<String> {
    let name = words.first().map(|word| word.to_lowercase()).unwrap_or_default();
    let is_secret_block = ["authentication", "auth_hmac"].contains(&block) || block.contains("pas");
    let shown = if name.contains("pas") {
        1
    } else if !is_secret_block || PLAIN.contains(&name.as_str()) {
        words.len()
    } else if name == "key" {
        2
    } else {
        // A word that is not known may be a password that has slipped.
        0
    };
    let hide = |(at, word): (usize, &String)| {
        if at < shown { word.clone() } else { HIDDEN.to_owned() }
    };
    words.iter().enumerate().map(hide).collect()
}

/// The first word of a line that is left out, or the name that it defines: values may be secret.
pub fn keyword(line: &str) -> String {
    let end = line.find(|c: char| c.is_whitespace() || "=(".contains(c)).unwrap_or(line.len());
    let (first, rest) = line.split_at(end);
    if rest.is_empty() { first.to_owned() } else { format!("{first} …") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (text, block, expected) in [
            ("auth_pass secret", "authentication", "auth_pass (hidden)"),
            ("auth_pass se cret", "", "auth_pass (hidden) (hidden)"),
            ("auth_pas secret", "", "auth_pas (hidden)"),
            ("PASSWORD secret", "SSL", "PASSWORD (hidden)"),
            ("auth_type PASS", "authentication", "auth_type PASS"),
            ("secret", "authentication", "(hidden)"),
            ("key 1 hex:00ff", "auth_hmac", "key 1 (hidden)"),
            ("priority 100", "vrrp_instance", "priority 100"),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(shown(&words, block).join(" "), expected, "{text}");
        }
        assert_eq!(keyword("auth_pass secret"), "auth_pass …");
        assert_eq!(keyword("nopreempt"), "nopreempt");
        assert_eq!(keyword("$PASSWORD=secret"), "$PASSWORD …");
        assert_eq!(keyword("~LST(A,secret) x"), "~LST …");
    }
}
