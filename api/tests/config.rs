//! The configuration: the example of the manual, its digest, and that nothing panics.

mod edge;

use std::path::PathBuf;
use std::time::Duration;

use evergate_api::config::model::{
    Address, Announce, Auth, Conntrackd, ConntrackdMode, Failback, PROTOCOLS, PerNode, Recovery,
    Replicate, RuleAction, Scope, TABLE_MAIN, TrailerMode, VrrpVersion, protocol_name,
};
use evergate_api::config::source::SourceFile;
use evergate_api::config::{Sources, diff, parse, schema};

use edge::{EDGE, config, edge_with, outcome};

#[test]
fn the_example_is_good() {
    let outcome = outcome(EDGE);
    assert!(outcome.report.is_empty(), "{}", outcome.report.render(false));
    assert_eq!(outcome.report.exit_code(), 0);
    let config = outcome.config.expect("no problem");
    assert_eq!(config.cluster.name, "edge");
    assert_eq!(config.cluster.heartbeat, Duration::from_millis(10));
    let group = &config.groups["gateway"];
    assert_eq!(group.priorities["gw1"], 200);
    assert_eq!(group.vrrp.version, VrrpVersion::V3);
    assert_eq!(group.vrrp.advert, Duration::from_secs(1));
    assert_eq!(group.failback, Failback::Auto);
    assert_eq!(group.routers["lan"].vrid, Some(51));
    assert_eq!(group.routers["wan"].addresses[0].to_string(), "10.92.0.1/24");
    let paths: Vec<String> = config.paths().into_iter().map(|path| path.name).collect();
    assert_eq!(paths, ["link:sync", "router:gateway/lan", "router:gateway/wan"]);
}

#[test]
fn what_a_group_does_towards_others_has_defaults_and_is_told_for_all_or_for_one() {
    let plain = config(EDGE).groups["gateway"].vrrp.clone();
    assert_eq!((plain.down_after, plain.answer_lower, plain.advert_before_yield), (3, true, false));
    assert_eq!(plain.start_delay, Duration::ZERO);
    let all = format!(
        "{EDGE}\n[vrrp]\ndown_after = 5\nanswer_lower = false\nstart_delay = \"90s\"\n\
         [group.gateway.vrrp]\ndown_after = 1\nadvert_before_yield = true\n"
    );
    let told = config(&all).groups["gateway"].vrrp.clone();
    assert_eq!((told.down_after, told.answer_lower, told.advert_before_yield), (1, false, true));
    assert_eq!(told.start_delay, Duration::from_secs(90));
    let expected = [
        "group gateway: down_after: 3 becomes 1",
        "group gateway: answer_lower: true becomes false",
        "group gateway: advert_before_yield: false becomes true",
        "group gateway: start_delay: 0s becomes 90s",
    ];
    assert_eq!(diff(&config(EDGE), &config(&all)).changes, expected);
}

#[test]
fn hop_limits_and_multicast_groups_are_told_for_all_or_for_one() {
    let plain = config(EDGE).groups["gateway"].vrrp.clone();
    assert_eq!((plain.hop_limit, plain.min_hop_limit), (255, None));
    assert_eq!((plain.multicast_v4, plain.multicast_v6), (None, None));
    let all = format!(
        "{EDGE}\n[vrrp]\nhop_limit = 64\nmin_hop_limit = 60\nmulticast = {{ ipv4 = \"224.0.0.19\" }}\n\
         [group.gateway.vrrp]\nmin_hop_limit = 62\nmulticast = {{ ipv6 = \"ff02::77\" }}\n"
    );
    let told = config(&all).groups["gateway"].vrrp.clone();
    assert_eq!((told.hop_limit, told.min_hop_limit), (64, Some(62)));
    let groups = (told.multicast_v4, told.multicast_v6);
    assert_eq!(groups, ("224.0.0.19".parse().ok(), "ff02::77".parse().ok()));
    let expected = [
        "group gateway: hop_limit: 255 becomes 64",
        "group gateway: min_hop_limit: none becomes 62",
        "group gateway: other multicast groups",
    ];
    assert_eq!(diff(&config(EDGE), &config(&all)).changes, expected);
}

#[test]
fn whether_a_weight_matters_beside_a_router_of_another_make_is_asked_where_its_priority_is_known() {
    let text = |lines: &str| {
        format!(
            "[cluster]\nname = \"edge\"\n[node.gw1]\npriority = 150\n[node.other]\nforeign = true\n\
             {lines}[check.uplink]\ntest = \"carrier:wan\"\n[group.gateway]\n\
             track = {{ uplink = -20 }}\n[group.gateway.router.lan]\ninterface = \"lan\"\n\
             vrid = 51\naddresses = [\"10.91.0.1/24\"]\n"
        )
    };
    let told = |lines: &str| outcome(&text(lines)).report.render(false);
    assert!(!told("").contains("no-effect"), "it may be 140: {}", told(""));
    assert!(told("priority = 100\n").contains("never matter"), "{}", told("priority = 100\n"));
    assert!(!told("priority = 140\n").contains("no-effect"));
}

#[test]
fn packets_to_the_addresses_are_taken_unless_group_or_router_says_no() {
    let accepts = |text: &str| {
        let routers = config(text).groups["gateway"].routers.clone();
        [routers["lan"].accept, routers["wan"].accept]
    };
    assert_eq!(accepts(EDGE), [true, true]);
    let header = "[group.gateway.router.lan]";
    let group = edge_with(header, &format!("[group.gateway]\naccept = false\n{header}"));
    assert_eq!(accepts(&group), [false, false]);
    let router = edge_with(header, &format!("{header}\naccept = false"));
    assert_eq!(accepts(&router), [false, true]);
    let report = outcome(&router).report;
    assert!(report.is_empty(), "{}", report.render(false));
    let changes = diff(&config(EDGE), &config(&router)).changes;
    assert_eq!(changes, ["router gateway/lan: accept: true becomes false"]);
}

#[test]
fn the_owner_has_priority_255_whatever_else_is_written() {
    let text = edge_with(
        "[group.gateway.router.lan]",
        "[group.gateway]\nowner = \"gw1\"\n[group.gateway.router.lan]",
    );
    let report = outcome(&text).report;
    assert!(report.is_empty(), "{}", report.render(false));
    let group = config(&text).groups["gateway"].clone();
    assert_eq!(group.owner.as_deref(), Some("gw1"));
    assert_eq!([group.priorities["gw1"], group.priorities["gw2"]], [255, 100]);
    let changes = diff(&config(EDGE), &config(&text)).changes;
    assert_eq!(changes, ["group gateway: priority of gw1: 200 becomes 255"]);
}

#[test]
fn a_box_with_conntrackd_needs_two_keys_and_has_defaults() {
    const PAIR: &str = "[cluster]\nname = \"edge\"\n[node.gw1]\n[node.gw2]\nforeign = true\n\
        [link.sync]\ninterface = \"sync\"\n[group.gateway.router.lan]\ninterface = \"lan\"\n\
        vrid = 51\naddresses = [\"10.91.0.1/24\"]\n[replicate.conntrackd]\npeer = \"gw2\"\n\
        link = \"sync\"\n";
    let report = outcome(PAIR).report;
    assert!(report.is_empty(), "{}", report.render(false));
    let told = |text: &str| {
        let config = config(&format!("{PAIR}{text}"));
        config.replicate.and_then(|replicate| replicate.conntrackd).expect("it is there")
    };
    let plain = Conntrackd {
        peer: "gw2".into(),
        link: "sync".into(),
        mode: ConntrackdMode::Ftfw,
        port: 3780,
        address: None,
        group: [225, 0, 0, 50].into(),
    };
    assert_eq!(told(""), plain);
    let text = "mode = \"notrack\"\nport = 3781\naddress = \"fd93::2\"\n";
    let other = told(text);
    assert_eq!((other.mode, other.port), (ConntrackdMode::Notrack, 3781));
    assert_eq!(other.address, "fd93::2".parse().ok());
    let (old, new) = (config(PAIR), config(&format!("{PAIR}{text}")));
    assert_eq!(diff(&old, &new).changes, ["replicate: another way to conntrackd on gw2"]);
}

#[test]
fn one_node_without_key_or_link_is_a_whole_configuration() {
    let text = "[cluster]\nname = \"solo\"\n[node.gw1]\n[node.old]\nforeign = true\n\
                [group.g.router.r]\ninterface = \"lan\"\nvrid = 1\naddresses = [\"10.0.0.1/24\"]\n";
    let outcome = outcome(text);
    assert!(outcome.report.is_empty(), "{}", outcome.report.render(false));
}

#[test]
fn replication_has_defaults_and_takes_what_it_is_told() {
    let plain = config(EDGE).replicate.expect("it is in the example");
    let expected = Replicate {
        links: vec!["sync".into()],
        protocols: vec![],
        ignore: vec![],
        zones: vec![],
        marks: vec![],
        coalesce: Duration::from_millis(2),
        protect_after: Duration::ZERO,
        recovery: Recovery::Flexible,
        conntrackd: None,
    };
    assert_eq!(plain, expected);
    let text = format!(
        "{EDGE}\nlinks = [\"sync\", \"back\"]\nprotocols = [\"udp\", \"tcp\", 250]\n\
         ignore = [\"fd93::/64\", \"10.93.0.0/24\", \"10.94.0.1/32\"]\nzones = [5, 0]\n\
         coalesce = \"0ms\"\nprotect_after = \"1h\"\nrecovery = \"strict\"\n\
         marks = [\"0x100/0xff00\", \"7\", \"0/1\"]\ndefer = []\n[link.back]\ninterface = \"back\"\n"
    );
    let told = config(&text).replicate.expect("it is there");
    assert_eq!(told.links, ["sync", "back"], "in order of preference");
    assert_eq!(told.protocols, [6, 17, 250]);
    let ignore: Vec<String> = told.ignore.iter().map(ToString::to_string).collect();
    assert_eq!(ignore, ["10.93.0.0/24", "10.94.0.1/32", "fd93::/64"]);
    assert_eq!(told.zones, [0, 5]);
    let marks: Vec<String> = told.marks.iter().map(ToString::to_string).collect();
    assert_eq!(marks, ["0x0/0x1", "0x7/0xffffffff", "0x100/0xff00"]);
    assert_eq!(told.recovery, Recovery::Strict);
    assert_eq!((told.coalesce, told.protect_after), (Duration::ZERO, Duration::from_secs(3600)));
    let text = format!("{EDGE}\n[link.back]\ninterface = \"back\"\n");
    let all = config(&text).replicate.expect("it is there");
    assert_eq!(all.links, ["back", "sync"], "all, in the order of their names");
    assert_eq!(config(&EDGE.replace("[replicate]", "#")).replicate, None);
}

#[test]
fn protocols_have_the_names_and_numbers_of_the_registry() {
    for (name, number) in PROTOCOLS {
        assert_eq!(protocol_name(number), name);
    }
    assert_eq!(protocol_name(250), "250");
}

#[test]
fn values_by_node_and_group_defaults_are_resolved() {
    let text = edge_with(
        "[group.gateway.router.lan]",
        "[group.gateway]\n\
        priority = { gw1 = 100, gw2 = 150 }\nfailback = \"1.5s\"\nheartbeat = false\n\
        announce = \"30s\"\n[group.gateway.vrrp]\nversion = 2\n[group.gateway.router.lan]\n\
        source = { gw1 = \"10.91.0.2\", gw2 = \"10.91.0.3\" }\nheartbeat = true",
    );
    let text = text.replace("\"lan\"", "{ gw1 = \"eth0\", gw2 = \"eth1.100\" }");
    let config = config(&text);
    let group = &config.groups["gateway"];
    assert_eq!(group.priorities["gw2"], 150);
    assert_eq!(group.failback, Failback::After(Duration::from_millis(1500)));
    assert_eq!(group.vrrp.version, VrrpVersion::V2);
    assert!(group.routers["lan"].heartbeat && !group.routers["wan"].heartbeat);
    assert_eq!(group.routers["lan"].interface.get("gw2").map(String::as_str), Some("eth1.100"));
    assert!(matches!(group.routers["wan"].interface, PerNode::Same(_)));
}

#[test]
fn a_schedule_of_announcements_is_that_of_the_router_or_its_group() {
    let text = edge_with(
        "[group.gateway.router.lan]",
        "[group.gateway]\nannounce = { repeat = 5, again_after = \"5s\", refresh = \"1min\" }\n\
        [group.gateway.router.lan]\n\
        announce = { lower_repeat = 0, lower_after = \"2s\", interval = \"100us\" }",
    );
    let routers = &config(&text).groups["gateway"].routers;
    let whole = Announce {
        repeat: 5,
        again_after: Duration::from_secs(5),
        refresh: Some(Duration::from_secs(60)),
        refresh_repeat: 1,
        lower_repeat: 5,
        lower_after: Duration::from_secs(5),
        interval: Duration::ZERO,
    };
    assert_eq!(routers["wan"].announce, Some(whole));
    assert_eq!(whole.to_string(), "5, again after 5s; 1 every 60s");
    let own = routers["lan"].announce.expect("it announces");
    assert_eq!((own.repeat, own.again_after, own.refresh), (1, Duration::ZERO, None));
    assert_eq!((own.lower_repeat, own.lower_after), (0, Duration::from_secs(2)));
    assert_eq!(own.to_string(), "1; towards lower 0, again after 2s; 100us apart");
    let every = |word: &str| {
        let text = edge_with("vrid = 51", &format!("vrid = 51\nannounce = {word}"));
        config(&text).groups["gateway"].routers["lan"].announce
    };
    assert_eq!(every("false"), None);
    assert_eq!(every("true"), Some(Announce::default()));
    assert_eq!(every("{}"), Some(Announce::default()));
    let refresh = Some(Duration::from_secs(30));
    assert_eq!(every("\"30s\""), Some(Announce { refresh, ..Announce::default() }));
}

#[test]
fn an_address_may_be_a_table_with_all_that_is_said_of_it() {
    let table = "[{ address = \"10.91.0.1/24\", interface = { gw1 = \"a\", gw2 = \"b\" }, \
                 label = \"a:vip\", scope = \"site\", broadcast = \"auto\", keep = false }, \
                 { address = \"10.91.0.2/32\", peer = \"10.91.0.9/31\" }, \
                 { address = \"fd91::1/64\", deprecated = false, detect_duplicates = true }, \
                 { address = \"fe80::1/64\" }]";
    let config = config(&edge_with("[\"10.91.0.1/24\"]", table));
    let router = &config.groups["gateway"].routers["lan"];
    let [first, second, third, fourth] = &router.addresses[..] else { panic!("{router:?}") };
    assert_eq!(router.interface_of(first, "gw2").map(String::as_str), Some("b"));
    assert_eq!(router.interface_of(second, "gw2").map(String::as_str), Some("lan"));
    assert_eq!((first.label.as_deref(), first.scope), (Some("a:vip"), Some(Scope::Site)));
    assert_eq!(first.broadcast, Some([10, 91, 0, 255].into()));
    assert!(first.advertise && !first.keep && first.prefix_route && !first.deprecated);
    assert_eq!((second.prefix, second.peer), (31, "10.91.0.9".parse().ok()));
    assert!(!third.deprecated && third.detect_duplicates);
    assert_eq!(*fourth, Address::plain("fe80::1".parse().expect("an address"), 64));
    let text = edge_with(
        "[\"10.91.0.1/24\"]",
        &table.replace("fd91::1/64\", deprecated", "fd91::1/64\", keep"),
    );
    let plan = diff(&config, &self::config(&text));
    assert_eq!(plan.changes, ["router gateway/lan: fd91::1/64 with other rules"]);
    let text = edge_with("[\"10.91.0.1/24\"]", &table.replace("site", "link"));
    let plan = diff(&config, &self::config(&text));
    let expected = "router gateway/lan: remove 10.91.0.1/24 and add it in another way";
    assert_eq!(plan.changes, [expected]);
}

#[test]
fn routes_and_rules_have_families_ways_and_defaults() {
    let routes = "[{ to = \"default\", via = \"fd91::9\" }, \
                  { to = \"default\", interface = { gw1 = \"a\", gw2 = \"b\" } }, \
                  { to = \"10.1.0.0/16\", nexthops = [{ via = \"10.91.0.9\" }, \
                  { via = \"10.91.0.8\", weight = 3 }], table = 300, metric = 0 }, \
                  { to = \"fd01::/64\", type = \"blackhole\" }]";
    let rules = "[{ from = \"::/0\", table = 300, priority = 9, mark = \"0x1/0xf\" }, \
                 { in = \"lan\", type = \"prohibit\", priority = 10, not = true }]";
    let with = |routes: &str, rules: &str| {
        let text = format!("[group.gateway]\nroutes = {routes}\nrules = {rules}\n[replicate]");
        config(&edge_with("[replicate]", &text))
    };
    let config = with(routes, rules);
    let group = &config.groups["gateway"];
    let [sixth, fourth, both, nowhere] = &group.routes[..] else { panic!("{group:?}") };
    assert!(sixth.to.ip.is_ipv6() && fourth.to.ip.is_ipv4() && nowhere.hops.is_empty());
    assert_eq!((fourth.table, fourth.metric, fourth.keep), (TABLE_MAIN, None, true));
    assert_eq!(both.hops.iter().map(|hop| hop.weight).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(both.to_string(), "route 10.1.0.0/16 table 300 metric 0");
    let [from, input] = &group.rules[..] else { panic!("{group:?}") };
    assert_eq!((from.is_ipv6, from.action), (true, RuleAction::Table(300)));
    assert_eq!((input.is_ipv6, input.action, input.not), (false, RuleAction::Prohibit, true));
    let other = with(&routes.replace("10.91.0.8", "10.91.0.7"), "[]");
    let changes = diff(&config, &other).changes;
    let expected = [
        "group gateway: remove route 10.1.0.0/16 table 300 metric 0",
        "group gateway: add route 10.1.0.0/16 table 300 metric 0",
        "group gateway: remove rule 9 (IPv6) from ::/0 table 300",
        "group gateway: remove rule 10 prohibit",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn the_digest_depends_on_what_is_said_not_on_how() {
    let (head, tail) = EDGE.split_at(EDGE.find("[group").expect("a group"));
    let swapped = format!("# a comment\n{tail}\n{head}");
    assert_eq!(config(&swapped).digest, config(EDGE).digest);
    let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
    let files = vec![file("10.toml", head), file("20.toml", tail)];
    let two = parse(Sources { files, directory: "".into() });
    assert_eq!(two.config.expect("good").digest, config(EDGE).digest);
    let changed = edge_with("200", "201");
    assert_ne!(config(&changed).digest, config(EDGE).digest);
    assert_eq!(config(EDGE).digest.to_string().len(), 16);
}

#[test]
fn authentication_has_its_files_and_defaults() {
    let with = |auth: &str| {
        let vrrp = format!("[vrrp]\nversion = 2\nadvert = \"2s\"\nauth = {auth}\n[replicate]");
        config(&edge_with("[replicate]", &vrrp)).groups["gateway"].vrrp.clone()
    };
    assert_eq!(with("\"none\"").auth, Auth::None);
    assert_eq!(with("{ type = \"none\" }").auth, Auth::None);
    let key_file = PathBuf::from("vrrp.key");
    let password = Auth::Password { key_file: key_file.clone() };
    assert_eq!(with("{ type = \"pass\", key_file = \"vrrp.key\" }").auth, password);
    let header = Auth::Header { key_file };
    assert_eq!(with("{ type = \"ah\", key_file = \"vrrp.key\" }").auth, header);
    let vrrp = with("{ type = \"hmac\", key_files = { 7 = \"/etc/a.key\" } }");
    let Auth::Trailer(trailer) = &vrrp.auth else { panic!("{vrrp:?}") };
    assert_eq!((trailer.active, trailer.mode), (7, TrailerMode::Enforce));
    assert_eq!(vrrp.window(trailer), Some(Duration::from_secs(6)), "three adverts");
    let vrrp = with(
        "{ type = \"hmac\", key_files = { 0 = \"a\", 255 = \"b\" }, active = 255, mode = \
         \"receive-only\", window = \"90s\" }",
    );
    let Auth::Trailer(trailer) = &vrrp.auth else { panic!("{vrrp:?}") };
    assert_eq!((trailer.active, trailer.mode), (255, TrailerMode::ReceiveOnly));
    assert_eq!(vrrp.window(trailer), Some(Duration::from_secs(90)));
    let vrrp = with("{ type = \"hmac\", key_files = { 1 = \"a\" }, replay = \"monotonic\" }");
    let Auth::Trailer(trailer) = &vrrp.auth else { panic!("{vrrp:?}") };
    assert_eq!(vrrp.window(trailer), None);
}

/// A small generator of our own (xorshift): failures repeat, no dependency.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).expect("below a usize")
    }
}

fn mutated(dice: &mut Dice, text: &str) -> String {
    const PIECES: [&str; 16] = [
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "é",
        "\u{0}",
        "-1",
        "99999999999999999999",
        "[group.",
        "''",
        "1979-05-27",
        "\"\\u001b\"",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(6) {
        let at = dice.below(chars.len() + 1);
        match dice.below(5) {
            0 => chars.truncate(at.max(chars.len() / 2)),
            1 => {
                let end = (at + dice.below(12)).min(chars.len());
                chars.drain(at..end);
            }
            2 | 3 => {
                let piece = PIECES[dice.below(PIECES.len())];
                chars.splice(at..at, piece.chars());
            }
            _ => {
                let line = text.lines().nth(dice.below(text.lines().count())).unwrap_or("");
                chars.splice(at..at, format!("\n{line}\n").chars());
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn no_text_makes_it_panic_and_every_refusal_has_words() {
    let rich = format!(
        "{EDGE}\n[vrrp]\nadvert = \"1s\"\n[check.isp]\nx = 1\n[check.web]\n\
         test = \"exec:/bin/true a\"\nrise = 2\n[group.b]\ntrack = {{ web = -60, isp = \"fault\" }}\nnodes = [\"gw1\"]\n\
         priority = {{ gw1 = 5 }}\n[group.b.router.r]\ninterface = {{ gw1 = \"a\" }}\n\
         addresses = [\"2001:db8::1/64\", \"10.1.1.1\"]\nvrid = 51\n"
    );
    let rich = rich.replacen(
        "[replicate]",
        "[replicate]\nlinks = [\"sync\"]\nprotocols = [\"tcp\", 17]\ncoalesce = \"1ms\"\n\
         ignore = [\"10.93.0.0/24\", \"fd93::/64\"]\nzones = [0, 5]\n#",
        1,
    );
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..20_000 {
        let text = mutated(&mut dice, if round % 2 == 0 { EDGE } else { &rich });
        let outcome = outcome(&text);
        assert_eq!(outcome.config.is_none(), outcome.report.has_errors(), "{text}");
        if round % 10 == 0 {
            let words = outcome.report.render(round % 20 == 0);
            assert_eq!(words.is_empty(), outcome.report.is_empty(), "{text}");
            outcome.report.views();
        }
    }
}

#[test]
fn every_truncation_is_answered() {
    for end in 0..EDGE.len() {
        if let Some(text) = EDGE.get(..end) {
            outcome(text).report.render(false);
        }
    }
}

#[test]
fn hostile_nesting_and_size_are_bounded() {
    for (open, count) in [("[", 100_000), ("{a=", 50_000), ("a.", 50_000)] {
        let text = format!("x = {}", open.repeat(count));
        assert!(outcome(&text).config.is_none());
        assert!(outcome(&open.repeat(count)).config.is_none());
    }
    let many: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(outcome(&many).report.problems().len(), 100);
}

#[test]
fn what_the_parser_takes_the_schema_knows() {
    let schema = schema();
    let properties = |path: &str| {
        let table = schema.pointer(path).unwrap_or_else(|| panic!("{path} is in the schema"));
        table.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
    };
    let root = properties("/properties");
    assert_eq!(root, ["check", "cluster", "group", "link", "node", "notify", "replicate", "vrrp"]);
    let cluster = properties("/properties/cluster/properties");
    assert_eq!(cluster, ["heartbeat", "key_file", "name", "port"]);
    for key in properties("/properties/replicate/properties") {
        let report = outcome(&format!("[replicate]\n{key} = 1979-05-27\n")).report;
        let unknown = report.problems().iter().any(|problem| problem.code == "unknown-key");
        assert!(!unknown, "{}", report.render(false));
    }
    for key in properties("/properties/check/additionalProperties/properties") {
        let report = outcome(&format!("[check.web]\n{key} = 1979-05-27\n")).report;
        let unknown = report.problems().iter().any(|problem| problem.code == "unknown-key");
        assert!(!unknown, "{}", report.render(false));
    }
    let group = "/properties/group/additionalProperties/properties";
    let router = format!("{group}/router/additionalProperties/properties");
    for key in properties(group).iter().chain(&properties(&router)) {
        // A key that the schema names must not be unknown to the parser.
        let header = if properties(&router).contains(key) { ".router.lan" } else { "" };
        let text = format!("[group.gateway{header}]\n{key} = 1979-05-27\n");
        let report = outcome(&text).report;
        let unknown = report.problems().iter().any(|problem| problem.code == "unknown-key");
        assert!(!unknown, "{}", report.render(false));
    }
}

#[test]
fn without_a_word_of_vrrp_the_defaults_are_those_of_the_standard() {
    let config = config(
        "[cluster]\nname = \"solo\"\n[node.gw1]\n\
         [group.g.router.r]\ninterface = \"lan\"\nvrid = 1\naddresses = [\"10.0.0.1/24\"]\n",
    );
    let group = &config.groups["g"];
    assert_eq!(group.priorities["gw1"], 100);
    assert_eq!((group.vrrp.version, group.vrrp.advert), (VrrpVersion::V3, Duration::from_secs(1)));
    assert_eq!(group.failback, Failback::Auto, "with preemption");
}
