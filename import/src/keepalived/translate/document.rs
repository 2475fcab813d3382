//! The text: a heading, then our tables.

use std::collections::BTreeMap;

use super::election::PRIORITY_DEFAULT;
use super::group::Group;
use super::vrrp::{GroupVrrp, Setting};
use super::{Options, Translator, duration};
use crate::toml::{Document, Table, Value};

/// Writes everything.
pub fn text(
    translator: &mut Translator<'_, '_, '_>,
    options: &Options,
    groups: &[Group],
) -> String {
    let mut document = Document::default();
    let node = translator.node.clone();
    document.comment(heading(&node));
    let mut cluster = Table::new(&["cluster"]);
    cluster.set("name", options.cluster.as_str());
    document.table(cluster);
    let of_node = usual_priority(groups);
    let mut table = Table::new(&["node", &node]);
    table.set_some("priority", (of_node != PRIORITY_DEFAULT).then(|| i64::from(of_node)));
    document.table(table);
    document.comment(vec!["[node.other]".into(), "foreign = true".into()]);
    let common = common_vrrp(groups);
    let vrrp = translator.vrrp_table(&common);
    if !vrrp.is_empty() {
        document.table(vrrp);
    }
    for group in groups {
        write_group(&mut document, group, &node, of_node, &common);
    }
    for key in &translator.check_order {
        document.tables(translator.checks.get(key).map(|(_, table)| table.clone()));
    }
    let fifo = translator.fifo();
    document.tables(fifo);
    document.text()
}

/// What a reader has to add.
fn heading(node: &str) -> Vec<String> {
    let text = format!(
        "Made from the configuration of keepalived on `{node}`. One file serves all nodes, but \
         that\none describes `{node}` alone. For each other node of ours add [node.NAME] with its \
         priority,\nand what differs there: interface, source and priority take a table by node, \
         such as\ninterface = {{ {} = \"eth0\", other = \"eth1\" }}. Two nodes of ours need \
         key_file in [cluster].\nIf the other router stays keepalived, the two lines behind \
         [node.{}] are enough.",
        quoted(node),
        quoted(node)
    );
    vec![text]
}

fn quoted(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// The priority that most groups have, the first of these.
fn usual_priority(groups: &[Group]) -> u8 {
    usual(groups.iter().filter_map(|group| group.priority)).unwrap_or(PRIORITY_DEFAULT)
}

/// What is there most often; the first of those that are.
fn usual<T: Clone + PartialEq>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counted: Vec<(T, usize)> = Vec::new();
    for one in all {
        match counted.iter_mut().find(|(other, _)| *other == one) {
            Some((_, count)) => *count += 1,
            None => counted.push((one, 1)),
        }
    }
    let most = counted.iter().map(|(_, count)| *count).max()?;
    counted.into_iter().find(|(_, count)| *count == most).map(|(one, _)| one)
}

/// The keys of VRRP that all groups may have in common, with what most of them say.
fn common_vrrp(groups: &[Group]) -> BTreeMap<&'static str, Value> {
    let mut common = BTreeMap::new();
    let keys = groups.first().map_or(&[][..], |group| &group.vrrp.common);
    for (at, Setting { key, .. }) in keys.iter().enumerate() {
        let said = groups.iter().filter_map(|group| group.vrrp.common.get(at)?.value.clone());
        common.extend(usual(said).map(|value| (*key, value)));
    }
    common
}

/// What a group says otherwise than `[vrrp]`.
fn own_vrrp(
    vrrp: &GroupVrrp,
    common: &BTreeMap<&'static str, Value>,
) -> Vec<(&'static str, Value)> {
    let differs = |setting: &&Setting| {
        let common = common.get(setting.key).unwrap_or(&setting.default);
        setting.value.as_ref().is_some_and(|value| value != common)
    };
    let settings = vrrp.common.iter().filter(differs);
    let keys = settings.filter_map(|setting| Some((setting.key, setting.value.clone()?)));
    keys.chain(vrrp.own.iter().cloned()).collect()
}

impl Translator<'_, '_, '_> {
    fn vrrp_table(&self, common: &BTreeMap<&'static str, Value>) -> Table {
        let mut table = Table::new(&["vrrp"]);
        for (key, default) in defaults() {
            table.set_some(key, common.get(key).filter(|value| **value != default).cloned());
        }
        let globals = &self.found.globals;
        let delay = globals.startup_delay.filter(|delay| delay.value > 0);
        table.set_some("start_delay", delay.map(|delay| duration(delay.value)));
        let group = |set: &super::Maybe<'_, std::net::IpAddr>, is_ipv4: bool| {
            let fits =
                set.filter(|set| set.value.is_ipv4() == is_ipv4 && set.value.is_multicast())?;
            let key = if is_ipv4 { "ipv4" } else { "ipv6" };
            Some((key.to_owned(), Value::Text(fits.value.to_string())))
        };
        let groups: Vec<(String, Value)> = group(&globals.multicast4, true)
            .into_iter()
            .chain(group(&globals.multicast6, false))
            .collect();
        table.set_some("multicast", (!groups.is_empty()).then_some(Value::Inline(groups)));
        table
    }
}

fn defaults() -> [(&'static str, Value); 6] {
    [
        ("version", 3.into()),
        ("advert", "1s".into()),
        ("checksum", "auto".into()),
        ("down_after", 3.into()),
        ("answer_lower", true.into()),
        ("advert_before_yield", false.into()),
    ]
}

fn write_group(
    document: &mut Document,
    group: &Group,
    node: &str,
    of_node: u8,
    common: &BTreeMap<&'static str, Value>,
) {
    let mut table = Table::new(&["group", &group.name]);
    table.set_some("priority", group.priority_at(node, of_node));
    for (key, value) in &group.keys {
        table.set(key, value.clone());
    }
    document.tables(Some(table).filter(|table| !table.is_empty()));
    let mut vrrp = Table::new(&["group", &group.name, "vrrp"]);
    for (key, value) in own_vrrp(&group.vrrp, common) {
        vrrp.set(key, value);
    }
    document.tables(Some(vrrp).filter(|table| !table.is_empty()));
    for (name, keys) in &group.routers {
        let mut table = Table::new(&["group", &group.name, "router", name]);
        for (key, value) in keys {
            table.set(key, value.clone());
        }
        document.table(table);
    }
}
