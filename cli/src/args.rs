//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;
use evergate_api::config::NAME_MAX;
use evergate_api::control::{DEFAULT_FLOWS_LIMIT, DEFAULT_SOCKET, MAX_FLOWS_LIMIT};

use crate::duration;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/evergate/evergate.toml";

/// The cluster of a file that is imported, unless told otherwise.
pub const DEFAULT_CLUSTER: &str = "edge";

/// The chain of the rules unless told otherwise.
pub const DEFAULT_CHAIN: &str = "inet filter input";

const EXIT_CODES: &str = "\
Exit codes:
  0   done; status: ready (or the only standbys are of another make); role: active
  1   refused with the reason, nothing changed; failback: not handed over, but the hold may be gone;
      status: degraded; role: not active; verify: differs; check and reload: warnings
  2   not done; status: down or split; role: cannot be told; verify: not known;
      check and reload: errors, nothing changed
  3   no answer: evergated is not running or its socket is not for you (told at once),
      or it does not answer within --timeout
  64  wrong usage
  74  the answer could not be written";

/// Shows and steers a running evergated.
#[derive(Debug, Parser)]
#[command(name = "evergate", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Args {
    /// The control socket of the daemon
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// How long to wait, such as 500ms, 2s or 1min [default: 2s; flows: 10s; failback, lock, unlock,
    /// resync, reload: 12s; switchover: 10s, and always 2s more for the answer]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::timeout)]
    pub timeout: Option<Duration>,
    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the truth: could any plug be pulled now, and if not, why
    Status(Status),
    /// Print the state of a group on this node; exit 0 only if it is active
    Role(Group),
    /// Show what happened
    Events(Events),
    /// Explain why a group is where it is, with every figure used
    Why(Group),
    /// Hand a group over without loss, wait for the end and print the gap
    Switchover(Switchover),
    /// End a held switchover and return to the preferred node
    Failback(Group),
    /// Lock this node out of a group, or of all; survives a restart
    Lock(OptionalGroup),
    /// End a lock
    Unlock(OptionalGroup),
    /// Read the configuration again and apply all of it or nothing
    Reload(Reload),
    /// Fetch the connections of a node again, or of all, whatever is thought to be known
    Resync(Resync),
    /// Say whether the copies of connections are equal: 0 equal, 1 they differ, 2 not known
    Verify,
    /// List the connections in the kernel of this node: whose they are, and if they would live on
    Flows(Flows),
    /// Check a configuration without a daemon: 0 good, 1 warnings, 2 errors
    Check(Check),
    /// Translate a file of another program: TOML to standard output, a report to standard error
    #[command(subcommand)]
    Import(Import),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print one new key line for the key file of a cluster
    Key,
    /// Print the nftables rules that a node needs
    Firewall(Firewall),
    /// Print the completions for a shell
    Completions(Completions),
    /// Write the man pages to a directory
    Man(Man),
}

/// `status`.
#[derive(Debug, ClapArgs)]
pub struct Status {
    /// What is shown; everything without
    #[command(subcommand)]
    pub part: Option<StatusPart>,
}

/// A part of the status that is shown alone.
#[derive(Debug, Subcommand)]
pub enum StatusPart {
    /// Show one virtual router with its counters, as RFC 6527 wants it watched
    Router {
        /// GROUP/ROUTER/FAMILY, such as gateway/lan/ipv4; the family where there are two
        id: String,
    },
}

/// A group.
#[derive(Debug, ClapArgs)]
pub struct Group {
    /// The group's name
    pub group: String,
}

/// A group, or all.
#[derive(Debug, ClapArgs)]
pub struct OptionalGroup {
    /// The group's name; all groups without
    pub group: Option<String>,
}

/// `events`.
#[derive(Debug, ClapArgs)]
pub struct Events {
    /// Only events after this sequence number
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
    /// Stay and show each event as it happens
    #[arg(long)]
    pub follow: bool,
}

/// `switchover`.
#[derive(Debug, ClapArgs)]
pub struct Switchover {
    /// The group's name
    pub group: String,
    /// The node that shall become active; the best standby without
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// End the hold by itself after this time; until a failback without
    #[arg(long, value_name = "DURATION", value_parser = duration::hold)]
    pub hold: Option<Duration>,
}

/// `reload`.
#[derive(Debug, ClapArgs)]
pub struct Reload {
    /// Only say what would change
    #[arg(long)]
    pub plan: bool,
}

/// `resync`.
#[derive(Debug, ClapArgs)]
pub struct Resync {
    /// The node whose connections are fetched; every node's without
    pub node: Option<String>,
}

/// `flows`.
#[derive(Debug, ClapArgs)]
pub struct Flows {
    /// An address, a port, both as ADDRESS:PORT, or any part of "tcp 10.0.0.1:40000 10.0.0.2:443"
    pub filter: Option<String>,
    /// The most to show
    #[arg(long, value_name = "N", default_value_t = DEFAULT_FLOWS_LIMIT,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_FLOWS_LIMIT)))]
    pub limit: u32,
}

/// `check`.
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// The file, or a directory of *.toml files
    pub path: PathBuf,
}

/// `import`.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// The conntrackd.conf of a box that becomes one of ours: 0 exact, 1 with changes, 2 unreadable
    Conntrackd(ImportConntrackd),
    /// The keepalived.conf of a box that becomes one of ours: 0 exact, 1 with changes, 2 unreadable
    Keepalived(ImportKeepalived),
    /// The command line of ucarp on a box that becomes one of ours: 0 exact, 1 with changes, 2 unreadable
    Ucarp(ImportUcarp),
}

/// `import conntrackd`.
#[derive(Debug, ClapArgs)]
pub struct ImportConntrackd {
    /// The file, often /etc/conntrackd/conntrackd.conf
    pub file: PathBuf,
    /// The name of the node that keeps conntrackd
    #[arg(long, value_name = "NODE", default_value = "peer", value_parser = node_name)]
    pub peer: String,
}

/// `import keepalived`.
#[derive(Debug, ClapArgs)]
pub struct ImportKeepalived {
    /// The file, often /etc/keepalived/keepalived.conf
    pub file: PathBuf,
    /// The name of the node that the file is of [default: its router_id, else the host's name]
    #[arg(long, value_name = "NAME", value_parser = any_name)]
    pub node: Option<String>,
    /// The name of the cluster
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CLUSTER, value_parser = any_name)]
    pub cluster: String,
    /// What decides lines that begin with @, as keepalived's own option [default: the host's name up
    /// to the first dot]
    #[arg(long, value_name = "ID")]
    pub config_id: Option<String>,
    /// Write key files with the passwords here, for you alone; none is written over
    #[arg(long, value_name = "DIR")]
    pub key_dir: Option<PathBuf>,
}

/// `import ucarp`.
#[derive(Debug, ClapArgs)]
pub struct ImportUcarp {
    /// The name of the node that it runs on [default: the host's name]
    #[arg(long, value_name = "NAME", value_parser = any_name)]
    pub node: Option<String>,
    /// The name of the cluster
    #[arg(long, value_name = "NAME", default_value = DEFAULT_CLUSTER, value_parser = any_name)]
    pub cluster: String,
    /// The command line: `ucarp` and its options; they come last
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    pub arguments: Vec<String>,
}

/// `firewall`.
#[derive(Debug, ClapArgs)]
pub struct Firewall {
    /// The configuration, a file or a directory
    #[arg(long, value_name = "PATH", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// The node the rules are for; needed where interfaces differ between nodes
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// The chain that filters what comes in: family, table and chain
    #[arg(long, value_name = "CHAIN", default_value = DEFAULT_CHAIN, value_parser = chain)]
    pub chain: String,
}

/// `completions`.
#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// `man`.
#[derive(Debug, ClapArgs)]
pub struct Man {
    /// The directory; made if it is not there
    pub directory: PathBuf,
}

/// A name that stands in the header of a table without quotes.
fn node_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 63 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("letters, digits, `-` and `_`, 63 at most".to_owned())
}

/// A name of ours.
fn any_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("letters, digits, `-`, `_` and `.`, {NAME_MAX} at most"))
}

/// Three plain words, so that the printed rules hold nothing but what is meant.
fn chain(text: &str) -> Result<String, String> {
    let plain = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["inet", table, name] if plain(&table) && plain(&name) => Ok(words.join(" ")),
        [family, ..] if family != "inet" => {
            Err("the chain has to be of family inet: the rules are for IPv4 and IPv6".to_owned())
        }
        _ => Err("it takes family, table and chain, such as \"inet filter input\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_has_no_contradiction() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_chain_is_three_plain_words() {
        assert_eq!(chain(" inet  fw in "), Ok("inet fw in".to_owned()));
        for bad in ["", "inet", "inet fw", "ip fw in", "inet fw in; flush ruleset", "inet fw {"] {
            assert!(chain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_help_tells_the_timeouts_that_are_used() {
        use crate::context::{FLOWS_TIMEOUT, PATIENT_TIMEOUT, TIMEOUT};
        let patience = crate::verbs::SWITCHOVER_PATIENCE;
        let within = Duration::from_millis(evergate_api::control::DEFAULT_SWITCHOVER_TIMEOUT_MS);
        let help = Args::command().render_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = format!(
            "[default: {TIMEOUT:?}; flows: {FLOWS_TIMEOUT:?}; failback, lock, unlock, resync, \
             reload: {PATIENT_TIMEOUT:?}; switchover: {within:?}, and always {patience:?} more for the answer]"
        );
        assert!(help.contains(&told), "{told} is not in {help}");
    }

    #[test]
    fn global_options_stand_before_or_behind_the_verb() {
        for line in ["--json --timeout 3s switchover g", "switchover g --timeout 3s --json"] {
            let words = std::iter::once("evergate").chain(line.split(' '));
            let args = Args::try_parse_from(words).expect("both are fine");
            assert!(args.json);
            assert_eq!(args.timeout, Some(Duration::from_secs(3)));
        }
    }
}
