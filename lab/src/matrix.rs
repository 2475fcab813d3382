//! The matrix of neighbours of another make: who speaks which dialect, by which transport, in which scenario.
//! `docs/interop.md` keeps it; after a run of any of its cells it is printed with what came of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What came of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as claimed.
    Passed,
    /// Something was not.
    Failed,
    /// The machine lacks what it needs.
    Skipped,
}

impl Verdict {
    /// The word for a table.
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// What came of the scenarios of a run, by name.
pub type Verdicts = BTreeMap<&'static str, Verdict>;

/// One neighbour in one dialect by one transport.
enum Cell {
    /// These scenarios show it.
    In(&'static [&'static str]),
    /// The neighbour cannot, in the version that Debian has.
    Cannot,
}

use Cell::{Cannot, In};

struct Row {
    neighbour: &'static str,
    dialect: &'static str,
    /// Multicast, unicast, virtual MAC addresses on both sides.
    cells: [Cell; 3],
}

const HEAD: [&str; 5] = ["neighbour", "dialect", "multicast", "unicast", "virtual MAC"];
const WIDTHS: [usize; 5] = [12, 32, 11, 11, 11];

const ROWS: &[Row] = &[
    Row {
        neighbour: "keepalived",
        dialect: "version 2",
        cells: [In(&["foreign-v2"]), In(&["foreign-unicast-v2"]), In(&["foreign-vmac-v2"])],
    },
    Row {
        neighbour: "",
        dialect: "version 2, pass",
        cells: [
            In(&["foreign-v2-pass", "foreign-imported"]),
            In(&["foreign-unicast-v2-pass"]),
            In(&["foreign-vmac-v2-pass"]),
        ],
    },
    Row {
        neighbour: "",
        dialect: "version 2, ah",
        cells: [
            In(&["foreign-v2-ah"]),
            In(&["foreign-v2-ah-unicast", "foreign-imported-ah"]),
            In(&["foreign-vmac-v2-ah"]),
        ],
    },
    Row {
        neighbour: "",
        dialect: "version 3, IPv4, pseudo header",
        cells: [In(&["foreign-v3"]), In(&["foreign-unicast-v3"]), In(&["foreign-vmac-v3"])],
    },
    Row {
        neighbour: "",
        dialect: "version 3, IPv4 and IPv6",
        cells: [
            In(&["foreign-ipv6"]),
            In(&["foreign-unicast-ipv6"]),
            In(&["foreign-vmac-ipv6", "foreign-vmac-unicast", "foreign-imported-vmac"]),
        ],
    },
    Row {
        neighbour: "",
        dialect: "version 3, IPv4, plain checksum",
        cells: [Cannot, Cannot, Cannot],
    },
    Row { neighbour: "", dialect: "hmac", cells: [Cannot, Cannot, Cannot] },
    Row {
        neighbour: "FRR vrrpd",
        dialect: "version 2",
        cells: [In(&["foreign-frr-v2"]), Cannot, In(&["foreign-vmac-frr-v2"])],
    },
    Row {
        neighbour: "",
        dialect: "version 3, IPv4",
        cells: [In(&["foreign-frr-v3"]), Cannot, In(&["foreign-vmac-frr-v3"])],
    },
    Row {
        neighbour: "",
        dialect: "version 3, IPv4 and IPv6",
        cells: [In(&["foreign-frr-ipv6"]), Cannot, In(&["foreign-vmac-frr-ipv6"])],
    },
    Row { neighbour: "", dialect: "pass, ah, hmac", cells: [Cannot, Cannot, Cannot] },
];

impl Cell {
    /// The scenarios that show it.
    fn names(&self) -> &'static [&'static str] {
        match self {
            In(names) => names,
            Cannot => &[],
        }
    }

    /// What came of it; the worst where several scenarios show it.
    fn word(&self, verdicts: &Verdicts) -> &'static str {
        let In(names) = self else { return "cannot" };
        let found = names.iter().filter_map(|name| verdicts.get(name));
        let worst = found.max_by_key(|verdict| match verdict {
            Verdict::Skipped => 0,
            Verdict::Passed => 1,
            Verdict::Failed => 2,
        });
        worst.map_or("not run", |verdict| verdict.word())
    }
}

/// The matrix with what came of its cells; none if no cell was run.
pub fn table(verdicts: &Verdicts) -> Option<String> {
    let cells = ROWS.iter().flat_map(|row| &row.cells);
    let mut names = cells.flat_map(Cell::names);
    if !names.any(|name| verdicts.contains_key(name)) {
        return None;
    }
    let mut text = line(HEAD);
    for Row { neighbour, dialect, cells } in ROWS {
        let [multicast, unicast, virtual_mac] = cells;
        let word = |cell: &Cell| cell.word(verdicts);
        text += &line([neighbour, dialect, word(multicast), word(unicast), word(virtual_mac)]);
    }
    Some(text)
}

fn line(words: [&str; 5]) -> String {
    let mut text = String::from("  ");
    for (word, width) in words.into_iter().zip(WIDTHS) {
        // Writing into a text cannot fail.
        let _ = write!(text, " {word:width$}");
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn named() -> Vec<&'static str> {
        let cells = ROWS.iter().flat_map(|row| &row.cells);
        cells.flat_map(Cell::names).copied().collect()
    }

    #[test]
    fn every_cell_names_scenarios_that_there_are_and_the_page_has_them_all() {
        let page = include_str!("../../docs/interop.md");
        for name in named() {
            assert!(scenario::all().iter().any(|known| known.name == name), "{name}");
        }
        for known in scenario::all().iter().filter(|known| known.name.starts_with("foreign-")) {
            assert!(page.contains(&format!("`{}`", known.name)), "{}", known.name);
            let swapped = known.name.ends_with("swapped");
            assert!(swapped || named().contains(&known.name), "{}", known.name);
        }
    }

    #[test]
    fn each_row_has_a_cell_in_the_short_lab_where_the_neighbour_can() {
        for row in ROWS {
            let mut names = row.cells.iter().flat_map(Cell::names);
            let is_short = |name: &str| scenario::all().iter().any(|s| s.name == name && !s.long);
            let can = row.cells.iter().any(|cell| matches!(cell, In(_)));
            assert!(!can || names.any(|name| is_short(name)), "{}", row.dialect);
        }
    }

    #[test]
    fn a_cell_that_several_scenarios_show_tells_the_worst_and_nothing_is_told_of_none() {
        assert_eq!(table(&Verdicts::new()), None);
        assert_eq!(table(&[("core-killed", Verdict::Failed)].into()), None);
        let verdicts = [
            ("foreign-vmac-ipv6", Verdict::Passed),
            ("foreign-vmac-unicast", Verdict::Failed),
            ("foreign-v3", Verdict::Passed),
        ];
        let text = table(&verdicts.into()).expect("cells were run");
        let row = |dialect: &str| text.lines().find(|line| line.contains(dialect)).expect("a row");
        assert_eq!(row("IPv4 and IPv6").split_whitespace().last(), Some("FAILED"));
        assert!(row("pseudo header").contains("passed      not run     not run"), "{text}");
        assert!(row("plain checksum").ends_with("cannot"));
    }
}
