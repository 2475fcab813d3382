//! What a reload would change, as the plan tells it.

mod edge;

use edge::{EDGE, config, edge_with};
use evergate_api::config::diff;

#[test]
fn the_plan_names_what_changes_and_what_does_not() {
    let old = config(EDGE);
    assert_eq!(diff(&old, &old).lines(), ["nothing changes"]);
    let text = edge_with("[\"10.91.0.1/24\"]", "[\"10.91.0.1/24\", \"10.91.0.9/24\"]")
        .replace("priority = 100", "priority = 120")
        .replace("[link.sync] ", "[link.back]\ninterface = \"back\"\n[link.sync] ");
    let plan = diff(&old, &config(&text));
    assert_eq!(
        plan.lines(),
        [
            "replicate: links: sync becomes back, sync",
            "node gw2: priority: 100 becomes 120",
            "add link back",
            "group gateway: priority of gw2: 100 becomes 120",
            "router gateway/lan: add 10.91.0.9/24",
            "untouched nodes: gw1",
            "untouched links: sync",
        ]
    );
    assert_eq!(plan.groups, ["gateway"]);
}

#[test]
fn a_router_with_another_name_is_no_other_router() {
    let old = config(EDGE);
    let renamed = edge_with("router.lan]", "router.inside]");
    let plan = diff(&old, &config(&renamed));
    assert_eq!(plan.changes, ["group gateway: router lan is named inside from now on"]);
    let text = renamed.replace("[\"10.91.0.1/24\"]", "[\"10.91.0.1/24\", \"10.91.0.9/24\"]");
    let plan = diff(&old, &config(&text));
    assert_eq!(plan.changes[1..], ["router gateway/inside: add 10.91.0.9/24"]);
    let text = renamed.replace("10.91.0.1/24", "10.91.0.9/24");
    let plan = diff(&old, &config(&text));
    let other =
        ["remove group gateway: router lan", "add group gateway: router inside"].map(str::to_owned);
    assert_eq!(plan.changes, other, "with nothing in common it is another one");
}

#[test]
fn the_plan_tells_what_becomes_of_replication() {
    let with = |text: &str| config(&edge_with("[replicate]", &format!("[replicate]\n{text}\n")));
    let plain = config(EDGE);
    let told = with(
        "protocols = [\"tcp\", 250]\nignore = [\"10.93.0.0/24\"]\nzones = [5]\n\
         coalesce = \"5ms\"\nprotect_after = \"1s\"\nmarks = [\"1/3\"]\nrecovery = \"strict\"",
    );
    assert_eq!(
        diff(&plain, &told).changes,
        [
            "replicate: protocols: all becomes tcp, 250",
            "replicate: ignore: none becomes 10.93.0.0/24",
            "replicate: zones: all becomes 5",
            "replicate: marks: all becomes 0x1/0x3",
            "replicate: coalesce: 2ms becomes 5ms",
            "replicate: protect_after: 0s becomes 1s",
            "replicate: recovery: flexible becomes strict",
        ]
    );
    let without = config(&edge_with("[replicate]", "# "));
    assert_eq!(diff(&plain, &without).changes, ["connections are no longer replicated"]);
    assert_eq!(diff(&without, &plain).changes, ["connections are replicated from now on"]);
    assert!(diff(&plain, &with("links = [\"sync\"]\nrecovery = \"flexible\"")).is_empty());
    assert_ne!(plain.digest, told.digest);
    assert_ne!(plain.digest, with("coalesce = \"2ms\"").digest, "it is of what was written");
}

/// Every field of the model that differs must show in the plan: a silent change is a trap.
#[test]
fn no_difference_is_silent() {
    let edits = [
        ("name = \"edge\"", "name = \"core\""),
        ("cluster.key", "other.key"),
        ("name = \"edge\"", "name = \"edge\"\nheartbeat = \"5ms\""),
        ("name = \"edge\"", "name = \"edge\"\nport = 9000"),
        ("priority = 200", "priority = 199"),
        ("interface = \"sync\"", "interface = \"sync2\""),
        ("vrid = 51", "vrid = 61"),
        ("vrid = 51", "vrid = 51\nannounce = false"),
        ("vrid = 51", "vrid = 51\nannounce = { repeat = 2, lower_repeat = 1 }"),
        ("vrid = 51", "vrid = 51\nannounce = { again_after = \"5s\", lower_after = \"0s\" }"),
        ("vrid = 51", "vrid = 51\nannounce = \"60s\""),
        ("vrid = 51", "vrid = 51\nannounce = { refresh = \"60s\", refresh_repeat = 2 }"),
        ("vrid = 51", "vrid = 51\nannounce = { lower_repeat = 0 }"),
        ("vrid = 51", "vrid = 51\nannounce = { lower_after = \"1s\" }"),
        ("vrid = 51", "vrid = 51\nannounce = { interval = \"1ms\" }"),
        ("vrid = 51", "vrid = 51\nheartbeat = false"),
        ("vrid = 51", "vrid = 51\nsource = \"10.91.0.2\""),
        ("vrid = 51", "vrid = 51\nunicast_peers = [\"10.91.0.3\"]"),
        ("10.91.0.1/24", "10.91.0.1/25"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", interface = \"dmz\" }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", label = \"lan:1\" }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", scope = \"link\" }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", peer = \"10.91.0.9\" }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", broadcast = \"auto\" }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", deprecated = true }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", prefix_route = false }]"),
        ("[\"10.91.0.1/24\"]", "[{ address = \"10.91.0.1/24\", keep = false }]"),
        (
            "[\"10.91.0.1/24\"]",
            "[\"10.91.0.1/24\", { address = \"10.91.0.2/24\", advertise = false }]",
        ),
        ("[replicate]", "[vrrp]\nadvert = \"2s\"\n[replicate]"),
        ("[replicate]", "[vrrp]\nversion = 2\n[replicate]"),
        ("[replicate]", "[vrrp]\nchecksum = \"plain\"\n[replicate]"),
        (
            "[replicate]",
            "[vrrp]\nauth = { type = \"hmac\", key_files = { 1 = \"a.key\" } }\n[replicate]",
        ),
        ("[replicate]", "[group.gateway]\nfailback = \"manual\"\n[replicate]"),
        (
            "[replicate]",
            "[group.gateway]\nroutes = [{ to = \"default\", via = \"10.92.0.9\" }]\n[replicate]",
        ),
        (
            "[replicate]",
            "[group.gateway]\nrules = [{ to = \"10.0.0.0/8\", table = 9, priority = 7 }]\n[replicate]",
        ),
        ("[replicate]", "[group.gateway]\nnodes = [\"gw1\"]\n[replicate]"),
        ("[replicate]", "# nothing replicated\n"),
        ("[replicate]", "[replicate]\nprotocols = [\"tcp\"]\n# "),
        ("[replicate]", "[replicate]\nignore = [\"10.93.0.0/24\"]\n# "),
        ("[replicate]", "[replicate]\nzones = [0]\n# "),
        ("[replicate]", "[replicate]\nmarks = [\"0\"]\n# "),
        ("[replicate]", "[replicate]\nrecovery = \"strict\"\n# "),
        ("[replicate]", "[replicate]\ncoalesce = \"0ms\"\n# "),
        ("[replicate]", "[replicate]\nprotect_after = \"1s\"\n# "),
        (
            "interface = \"sync\"",
            "interface = \"sync\"\naddress = { gw1 = \"10.9.0.1\", gw2 = \"10.9.0.2\" }",
        ),
    ];
    let old = config(EDGE);
    for (from, to) in edits {
        let new = config(&edge_with(from, to));
        assert!(!diff(&old, &new).is_empty(), "`{to}` changes nothing");
        assert!(!diff(&new, &old).is_empty(), "`{from}` changes nothing");
    }
}
