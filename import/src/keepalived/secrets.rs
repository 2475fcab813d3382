//! What of a statement may be repeated in the report. Passwords may not. Where it cannot be known,
//! too much is hidden rather than too little.

/// What is shown in place of a secret word.
const HIDDEN: &str = "(hidden)";
/// The keyword that a password stands behind.
const PASSWORD: &str = "auth_pass";

/// What the keywords of blocks begin with behind which a name stands.
const NAMED: [&str; 4] = ["vrrp_", "track_file", "bfd_instance", "virtual_server"];

/// Does a word begin a secret? Then what stands behind it is not shown.
fn begins(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let is_key = word == "key" || word.ends_with("_key");
    let is_definition = word.starts_with('=') || word.starts_with('$') && word.contains('=');
    let is_named = word.contains("pas") || word.contains("secret") || word.starts_with("auth");
    is_key || is_definition || is_named || is_literal(&word)
}

/// Is it a key as `auth_hmac` has it?
fn is_literal(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.starts_with("hex:") || word.starts_with("ascii:")
}

/// Is it a keyword of passwords, and nothing that somebody may have named so by chance?
fn is_keyword(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.contains("auth_pas") || word.contains("auth_hmac") || word.contains("authentication")
}

/// Do the braces behind these words hold secrets? Nobody knows what braces without words hold.
pub fn begins_block(words: &[String]) -> bool {
    let Some(first) = words.first() else { return true };
    let is_named = NAMED.iter().any(|named| first.starts_with(named));
    words.iter().enumerate().any(|(at, word)| begins(word) && !(at == 1 && is_named))
}

/// Is the value of the last word missing? It may stand on the next line.
pub fn ends_open(words: &[String]) -> bool {
    words.last().is_some_and(|last| is_keyword(last))
}

/// The words as the report may show them. `is_secret`: they stand where secrets do.
pub fn shown(words: &[String], is_secret: bool) -> Vec<String> {
    if is_secret { closed(words) } else { open(words) }
}

/// Words from a block of secrets: keywords that are known, with one value that is none.
fn closed(words: &[String]) -> Vec<String> {
    let name = words.first().map_or("", String::as_str);
    let plain = match (is_known(name), words.get(1)) {
        // A word that is not known may be a password that has slipped.
        (false, _) => 0,
        (true, Some(value)) if is_plain(name, value) => 2,
        (true, _) => 1,
    };
    let hide = |(at, word): (usize, &String)| {
        if at < plain { word.clone() } else { HIDDEN.to_owned() }
    };
    let mut shown: Vec<String> = words.iter().enumerate().map(hide).collect();
    if let (0, true, Some(first)) = (plain, is_keyword(name), shown.first_mut()) {
        *first = cut(name).0;
    }
    shown
}

/// The keywords of blocks that hold secrets.
fn is_known(name: &str) -> bool {
    let plain = ["auth_type", "active_key", "anti_replay", "time_window", "mode"];
    name == PASSWORD || name == "key" || plain.contains(&name)
}

/// Is it a value that no secret is?
fn is_plain(name: &str, value: &str) -> bool {
    let values: &[&str] = match name {
        "auth_type" => &["pass", "ah"],
        "mode" => &["enforce", "permissive", "receive-only"],
        "anti_replay" => &["time", "monotonic"],
        "active_key" | "time_window" | "key" => {
            return value.len() <= 3 && value.bytes().all(|byte| byte.is_ascii_digit());
        }
        _ => &[],
    };
    values.iter().any(|plain| value.eq_ignore_ascii_case(plain))
}

/// Words from anywhere else: all up to where a secret begins.
fn open(words: &[String]) -> Vec<String> {
    let mut is_hidden = false;
    let show = |(at, word): (usize, &String)| {
        if is_hidden {
            return HIDDEN.to_owned();
        }
        // A definition, a generator or a condition that was not understood.
        let is_steering = at == 0 && word.starts_with(['$', '~', '@']);
        let is_defined = at == 0 && word.contains('=');
        let is_keyword = is_steering || is_defined;
        let (text, begins) = if is_keyword { (keyword(word), true) } else { cut(word) };
        is_hidden = begins;
        text
    };
    words.iter().enumerate().map(show).collect()
}

/// A word up to where a secret begins, and whether one does. A word in quotes may be several.
fn cut(word: &str) -> (String, bool) {
    let mut at = 0;
    for part in word.split_inclusive(char::is_whitespace) {
        if begins(part.trim_end()) {
            let end = at + end(part);
            let is_all = word[end..].trim().is_empty();
            let text = if is_all { word.to_owned() } else { format!("{}{HIDDEN}", &word[..end]) };
            return (text, true);
        }
        at += part.len();
    }
    (word.to_owned(), false)
}

/// Where the keyword ends that begins a secret, in bytes.
fn end(part: &str) -> usize {
    let behind = part.find(['=', ':']).map_or(part.len(), |at| at + 1);
    let lower = part.to_ascii_lowercase();
    let password = lower.find(PASSWORD).map(|at| at + PASSWORD.len());
    password.filter(|end| !part[*end..].trim().is_empty()).map_or(behind, |end| {
        // Behind `auth_pass` only a blank belongs to what is shown.
        if part[end..].starts_with(char::is_whitespace) { part.len() } else { end }
    })
}

/// Takes away what stands behind a keyword of passwords outside of their blocks: it means nothing
/// there, and must not become a name in the configuration.
pub fn take_away(words: &mut Vec<String>) {
    if let Some(at) = words.iter().position(|word| is_keyword(word)) {
        words.truncate(at + 1);
    }
    if let Some(at) = words.iter().position(|word| is_literal(word)) {
        words.truncate(at);
    }
}

/// A line that is no statement, such as an `include`.
pub fn line(text: &str) -> String {
    cut(text).0
}

/// The first word of a line that is left out, or the name that it defines: values may be secret.
pub fn keyword(line: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "=(\"'".contains(c);
    let brace = line.find(['{', '}']).filter(|_| !line.starts_with("${"));
    let end = line.find(is_end).unwrap_or(line.len()).min(brace.unwrap_or(line.len()));
    let (first, rest) = line.split_at(end);
    let first = cut(first).0;
    if rest.is_empty() { first } else { format!("{first} …") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, is_secret: bool) -> String {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        shown(&words, is_secret).join(" ")
    }

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (text, is_secret, expected) in [
            ("auth_pass secret", true, "auth_pass (hidden)"),
            ("auth_pass se cret", false, "auth_pass (hidden) (hidden)"),
            ("auth_pas secret", false, "auth_pas (hidden)"),
            ("PASSWORD secret", false, "PASSWORD (hidden)"),
            ("auth_type PASS", true, "auth_type PASS"),
            ("slipped", true, "(hidden)"),
            ("passw0rd", true, "(hidden)"),
            ("key 1 hex:00ff", true, "key 1 (hidden)"),
            ("priority 100", false, "priority 100"),
        ] {
            assert_eq!(told(text, is_secret), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_behind_on_the_same_line_is_hidden_too() {
        for (text, is_secret, expected) in [
            ("auth_type PASS auth_pass X", true, "auth_type PASS (hidden) (hidden)"),
            ("auth_type X", true, "auth_type (hidden)"),
            ("mode enforce key 1 hex:X", true, "mode enforce (hidden) (hidden) (hidden)"),
            ("active_key 1 X", true, "active_key 1 (hidden)"),
            ("key X", true, "key (hidden)"),
            ("interface eth0 auth_pass X", false, "interface eth0 auth_pass (hidden)"),
            ("vrid 3 authentication auth_pass X", false, "vrid 3 authentication (hidden) (hidden)"),
            ("interface eth0 key 1 X", false, "interface eth0 key (hidden) (hidden)"),
            ("interface eth0 hex:X", false, "interface eth0 hex:(hidden)"),
        ] {
            assert_eq!(told(text, is_secret), expected, "{text}");
        }
    }

    #[test]
    fn slips_of_the_pen_show_nothing() {
        for (text, is_secret, expected) in [
            ("auth_pass=X", false, "auth_pass …"),
            ("auth_passX", true, "auth_pass(hidden)"),
            ("Auth_PassX y", true, "Auth_Pass(hidden) (hidden)"),
            ("password:X", false, "password:(hidden)"),
            ("$PW = X", false, "$PW (hidden) (hidden)"),
            ("$P-W=X", false, "$P-W …"),
            ("PW=X", false, "PW …"),
            ("interface eth0 = X", false, "interface eth0 = (hidden)"),
            ("~LST (PW, X) y", false, "~LST (hidden) (hidden) (hidden)"),
        ] {
            assert_eq!(told(text, is_secret), expected, "{text}");
        }
        let command = ["script".to_owned(), "/bin/x --password X y".to_owned(), "z".to_owned()];
        assert_eq!(shown(&command, false), ["script", "/bin/x --password (hidden)", "(hidden)"]);
        assert_eq!(line("include a auth_pass X"), "include a auth_pass (hidden)");
    }

    #[test]
    fn of_a_line_that_is_left_out_the_keyword_is_shown() {
        for (text, expected) in [
            ("auth_pass secret", "auth_pass …"),
            ("nopreempt", "nopreempt"),
            ("$PASSWORD=secret", "$PASSWORD …"),
            ("~LST(A,secret) x", "~LST …"),
            ("auth_pass{secret}", "auth_pass …"),
            ("auth_pass\"secret", "auth_pass …"),
            ("auth_passX", "auth_pass(hidden)"),
        ] {
            assert_eq!(keyword(text), expected, "{text}");
        }
    }

    #[test]
    fn blocks_of_secrets_are_known_by_any_of_their_words() {
        let is_secret = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            begins_block(&words)
        };
        for secret in
            ["authentication", "auth_hmac", "pass", "vrid 3 authentication", "key", "a key b"]
        {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in ["vrrp_instance bypass", "vrrp_instance authentication", "group"] {
            assert!(!is_secret(plain), "{plain}");
        }
        assert!(begins_block(&[]));
    }
}
