//! Entries of a kind, counted.

use super::table::{attributes, dump};
use crate::error::Result;
use crate::netns::Namespace;

/// The attribute that names the connection by which an entry was expected.
const MASTER: u16 = 14;
/// The flag of a direction of TCP that says that its sequence numbers are not checked.
const LIBERAL: u8 = 0x08;

/// How many entries came of an expectation and name their master.
pub fn related(namespace: &Namespace) -> Result<usize> {
    count(namespace, |entry| {
        entry.get(4..).is_some_and(|whole| attributes(whole).contains_key(&MASTER))
    })
}

/// How many connections of TCP have sequence numbers that are not checked, in any direction.
pub fn liberal(namespace: &Namespace) -> Result<usize> {
    count(namespace, |entry| {
        let whole = entry.get(4..).map(attributes).unwrap_or_default();
        let info = whole.get(&4).map(|info| attributes(info)).unwrap_or_default();
        let tcp = info.get(&1).map(|tcp| attributes(tcp)).unwrap_or_default();
        let flags = [4, 5].iter().filter_map(|kind| tcp.get(kind)?.first());
        flags.into_iter().any(|flags| flags & LIBERAL != 0)
    })
}

fn count(namespace: &Namespace, is_meant: impl Fn(&[u8]) -> bool) -> Result<usize> {
    let mut found = 0;
    dump(namespace, |entry| found += usize::from(is_meant(entry)))?;
    Ok(found)
}
