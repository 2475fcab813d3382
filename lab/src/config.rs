//! Configuration files of the programs under test, written as a user would write them.

use std::fmt::Write;

/// A TOML file as an ordered list of tables; later changes replace or add keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    tables: Vec<(String, Vec<(String, String)>)>,
    /// Files beside it that only their owner reads: name and content.
    pub secrets: Vec<(String, String)>,
}

impl Config {
    /// The example of the documentation: two nodes, one link, one group with two routers.
    pub fn example() -> Self {
        Self { tables: Vec::new(), secrets: Vec::new() }
            .with("cluster", "name", "\"edge\"")
            .with("cluster", "key_file", "\"cluster.key\"")
            .with("node.gw1", "priority", "200")
            .with("node.gw2", "priority", "100")
            .with("link.sync", "interface", "\"sync\"")
            .with("group.gateway.router.lan", "interface", "\"lan\"")
            .with("group.gateway.router.lan", "vrid", "51")
            .with("group.gateway.router.lan", "addresses", "[\"10.91.0.1/24\"]")
            .with("group.gateway.router.wan", "interface", "\"wan\"")
            .with("group.gateway.router.wan", "vrid", "52")
            .with("group.gateway.router.wan", "addresses", "[\"10.92.0.1/24\"]")
            .with_table("replicate")
    }

    /// The example with another heartbeat, such as `2ms`.
    pub fn with_heartbeat(self, heartbeat: &str) -> Self {
        self.with("cluster", "heartbeat", &format!("\"{heartbeat}\""))
    }

    /// The example with IPv6 addresses beside those of IPv4, the link-local one first.
    pub fn with_ipv6(self) -> Self {
        let lan = r#"["10.91.0.1/24", "fe80::91:1/64", "fd91::1/64"]"#;
        let wan = r#"["10.92.0.1/24", "fe80::92:1/64", "fd92::1/64"]"#;
        self.with("group.gateway.router.lan", "addresses", lan).with(
            "group.gateway.router.wan",
            "addresses",
            wan,
        )
    }

    /// One node of ours and one of another make: no key, no link, no replication.
    pub fn with_foreign(self, node: &str) -> Self {
        self.with(&format!("node.{node}"), "foreign", "true")
            .without("cluster", "key_file")
            .without_table("link.sync")
            .without_table("replicate")
    }

    /// One node of ours and one that runs keepalived and conntrackd: no key, but the link and what is copied.
    pub fn with_conntrackd(self, node: &str) -> Self {
        self.with(&format!("node.{node}"), "foreign", "true")
            .without("cluster", "key_file")
            .with("replicate.conntrackd", "peer", &format!("\"{node}\""))
            .with("replicate.conntrackd", "link", "\"sync\"")
    }

    /// Adds a file with a secret.
    #[must_use]
    pub fn with_secret(mut self, name: &str, content: &str) -> Self {
        self.secrets.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Sets a key of a table to a TOML value; makes the table if there is none.
    #[must_use]
    pub fn with(self, table: &str, key: &str, value: &str) -> Self {
        let mut changed = self.with_table(table);
        let entries = &mut changed.tables.iter_mut().find(|(name, _)| name == table);
        if let Some((_, entries)) = entries {
            match entries.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => value.clone_into(old),
                None => entries.push((key.to_owned(), value.to_owned())),
            }
        }
        changed
    }

    /// Makes an empty table if there is none of this name.
    #[must_use]
    pub fn with_table(mut self, table: &str) -> Self {
        if !self.tables.iter().any(|(name, _)| name == table) {
            self.tables.push((table.to_owned(), Vec::new()));
        }
        self
    }

    /// Takes a key out of a table.
    #[must_use]
    pub fn without(mut self, table: &str, key: &str) -> Self {
        for (_, entries) in self.tables.iter_mut().filter(|(name, _)| name == table) {
            entries.retain(|(name, _)| name != key);
        }
        self
    }

    /// Takes a whole table out.
    #[must_use]
    pub fn without_table(mut self, table: &str) -> Self {
        self.tables.retain(|(name, _)| name != table);
        self
    }

    /// Does it name a key file?
    pub fn needs_key(&self) -> bool {
        self.tables
            .iter()
            .any(|(name, keys)| name == "cluster" && keys.iter().any(|(key, _)| key == "key_file"))
    }

    /// The file.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (index, (table, entries)) in self.tables.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{table}]");
            for (key, value) in entries {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_one_of_the_documentation() {
        let text = Config::example().to_toml();
        assert!(
            text.starts_with(
                "[cluster]\nname = \"edge\"\nkey_file = \"cluster.key\"\n\n[node.gw1]\n"
            )
        );
        assert!(text.ends_with("vrid = 52\naddresses = [\"10.92.0.1/24\"]\n\n[replicate]\n"));
    }

    #[test]
    fn a_change_replaces_a_key_and_keeps_the_others() {
        let config = Config::example().with("node.gw1", "priority", "50");
        assert_eq!(config.to_toml().matches("priority = ").count(), 2);
        assert!(config.to_toml().contains("[node.gw1]\npriority = 50\n"));
    }

    #[test]
    fn a_file_for_a_foreign_neighbour_needs_no_key() {
        let config = Config::example().with_foreign("gw2");
        assert!(!config.needs_key());
        assert!(config.to_toml().contains("priority = 100\nforeign = true\n"));
    }
}
