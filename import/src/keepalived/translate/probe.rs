//! What `evergate check` says of a value, asked before it is written: so the importer has no limits
//! of its own, and what it writes is taken.

use evergate_api::config::model::{Address, Config, Group};
use evergate_api::config::{Level, Sources, parse};

use crate::toml::{Document, Table, Value};

/// The name of everything that is made up.
const NAME: &str = "a";

/// The address that other entries have.
const ADDRESS: &str = "192.0.2.1/32";

/// An address as an entry of `addresses` that is advertised, or what is wrong with it.
pub fn address(value: Value) -> Result<Address, String> {
    let mut group = checked(None, value, None)?;
    let router = group.routers.remove(NAME);
    router.and_then(|router| router.addresses.into_iter().next()).ok_or_else(unread)
}

/// A group with this key, or what is wrong with it.
pub fn group(key: &str, value: Value) -> Result<Group, String> {
    checked(Some((key, value)), ADDRESS.into(), None)
}

/// A table beside the groups; what is wrong with it.
pub fn table(table: Table) -> Result<(), String> {
    checked(None, ADDRESS.into(), Some(table)).map(|_| ())
}

/// The group of a file that has nothing else in it.
fn checked(
    key: Option<(&str, Value)>,
    address: Value,
    beside: Option<Table>,
) -> Result<Group, String> {
    let mut document = Document::default();
    let mut cluster = Table::new(&["cluster"]);
    cluster.set("name", NAME);
    document.table(cluster);
    document.table(Table::new(&["node", NAME]));
    document.tables(beside);
    let mut group = Table::new(&["group", NAME]);
    if let Some((key, value)) = key {
        group.set(key, value);
    }
    document.table(group);
    let mut router = Table::new(&["group", NAME, "router", NAME]);
    router.set("interface", NAME);
    router.set("vrid", 1);
    router.set("addresses", Value::Array(vec![address]));
    document.table(router);
    let outcome = parse(Sources::from_text("edge.toml", &document.text()));
    let mut errors = outcome.report.problems().iter();
    match errors.find(|problem| problem.level == Level::Error) {
        Some(error) => Err(error.text.clone()),
        None => outcome.config.and_then(made_up).ok_or_else(unread),
    }
}

fn made_up(mut config: Config) -> Option<Group> {
    config.groups.remove(NAME)
}

fn unread() -> String {
    "it cannot be read back".to_owned()
}
