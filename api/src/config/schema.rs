//! The JSON Schema of the configuration, for editors: completion, hints and early errors.

mod procedure;

use serde_json::{Value, json};

use super::check::{COUNT_MAX, USER_DEFAULT, WEIGHT_MAX, WORDS_MAX};
use super::model::{
    ADDRESSES_IPV4_MAX, ADDRESSES_IPV6_MAX, ANNOUNCE_REPEAT_MAX, AUTH_KEYS_MAX,
    CONNTRACKD_GROUP_DEFAULT, CONNTRACKD_PORT_DEFAULT, DOWN_AFTER_DEFAULT, DOWN_AFTER_MAX,
    IGNORE_MAX, INTERFACE_NAME_MAX, LABEL_MAX, LINKS_MAX, MARKS_MAX, NEXTHOP_WEIGHT_MAX,
    NEXTHOPS_MAX, NODES_MAX, PORT_DEFAULT, PRIORITY_DEFAULT, PRIORITY_MAX, PROTOCOLS, ROUTES_MAX,
    RULES_MAX, RouteKind, Scope, UNICAST_PEERS_MAX, ZONES_MAX,
};
use super::words::NAME_MAX;

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Evergate configuration",
        "description": "One file, the same on every node.",
        "type": "object",
        "additionalProperties": false,
        "required": ["cluster", "node", "group"],
        "properties": {
            "cluster": cluster(),
            "node": named("The boxes of the cluster, by name.", node()),
            "link": named("Paths of our own between the nodes, by name.", link()),
            "vrrp": vrrp("What all groups say on the wire unless they say otherwise."),
            "group": named("What moves as one unit, by name.", group()),
            "check": named("What groups track, by name.", check()),
            "notify": procedure::fifo(),
            "replicate": replicate(),
        },
        "$defs": {
            "duration": {
                "type": "string",
                "pattern": "^[0-9]+(\\.[0-9]+)? ?(ns|us|ms|s|m|min|h|d)$",
                "examples": ["10ms", "1.5s", "2min"]
            },
            "interface": {
                "type": "string",
                "minLength": 1,
                "maxLength": INTERFACE_NAME_MAX,
                "pattern": "^[^\\s/:]+$"
            },
            "address": { "type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" },
            "ip": { "type": "string", "pattern": "^[0-9A-Fa-f:.]+$" },
            "priority": { "type": "integer", "minimum": 1, "maximum": PRIORITY_MAX },
        }
    })
}

fn described(mut schema: Value, text: &str) -> Value {
    schema["description"] = json!(text);
    schema
}

fn table(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties
    })
}

fn named(text: &str, inner: Value) -> Value {
    json!({
        "type": "object",
        "description": text,
        "minProperties": 1,
        "propertyNames": { "pattern": format!("^[A-Za-z0-9_.-]{{1,{NAME_MAX}}}$") },
        "additionalProperties": inner
    })
}

fn reference(name: &str, text: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}"), "description": text })
}

/// A value, or a table of values by node name.
fn per_node(name: &str, text: &str) -> Value {
    let value = json!({ "$ref": format!("#/$defs/{name}") });
    json!({
        "description": format!("{text} One value, or a table by node name."),
        "anyOf": [value, { "type": "object", "additionalProperties": value }]
    })
}

fn cluster() -> Value {
    let properties = json!({
        "name": {
            "type": "string",
            "pattern": format!("^[A-Za-z0-9_.-]{{1,{NAME_MAX}}}$"),
            "description": "The name of the cluster."
        },
        "key_file": {
            "type": "string",
            "minLength": 1,
            "description": "The file with the key, relative to this file, readable by its owner \
                            only. Made by `evergate key`; needed with two nodes of ours."
        },
        "heartbeat": reference(
            "duration",
            "The interval between heartbeats, 1ms to 1s; default 10ms. A node is dead after 3."
        ),
        "port": {
            "type": "integer", "minimum": 1, "maximum": 65535, "default": PORT_DEFAULT,
            "description": "The UDP port of heartbeats and replication."
        },
    });
    described(table(properties, &["name"]), "The cluster as a whole.")
}

fn node() -> Value {
    let mut priority = reference("priority", "The priority in every group that names none.");
    priority["default"] = json!(PRIORITY_DEFAULT);
    let properties = json!({
        "priority": priority,
        "foreign": flag(false, "A router of another make: it speaks VRRP and nothing else."),
    });
    described(table(properties, &[]), "A box of the cluster.")
}

fn link() -> Value {
    let properties = json!({
        "interface": per_node("interface", "The interface."),
        "address": {
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/ip" },
            "description": "Each node's own address; makes the link unicast."
        },
    });
    described(table(properties, &["interface"]), "A path for heartbeats and replication.")
}

fn auth() -> Value {
    let file = json!({ "type": "string", "minLength": 1 });
    let password = json!({
        "type": { "enum": ["pass", "ah"], "description": "Version 2: clear text, or a header." },
        "key_file": described(file.clone(), "The file with the password, 1 to 8 bytes."),
    });
    let trailer = json!({
        "type": { "const": "hmac", "description": "A trailer; either version." },
        "key_files": {
            "type": "object", "minProperties": 1, "maxProperties": AUTH_KEYS_MAX,
            "propertyNames": { "pattern": "^(0|[1-9][0-9]{0,2})$" },
            "additionalProperties": file,
            "description": "A file for each key, by its number 0 to 255."
        },
        "active": {
            "type": "integer", "minimum": 0, "maximum": 255,
            "description": "The key that is sent with; may be left out where there is one."
        },
        "mode": {
            "enum": ["enforce", "permissive", "receive-only"], "default": "enforce",
            "description": "What happens to adverts without a trailer."
        },
        "window": reference("duration", "How far stamps may be from the clock, 3s to 5min."),
        "replay": {
            "enum": ["time", "monotonic"], "default": "time",
            "description": "Stamps are near the clock and rise, or only rise."
        },
    });
    let none = json!({ "type": { "const": "none" } });
    json!({
        "description": "How adverts are authenticated.",
        "default": "none",
        "anyOf": [
            { "const": "none" },
            table(none, &["type"]),
            table(password, &["type", "key_file"]),
            table(trailer, &["type", "key_files"]),
        ]
    })
}

fn vrrp(text: &str) -> Value {
    let properties = json!({
        "version": {
            "enum": [2, 3], "default": 3,
            "description": "The version of VRRP for IPv4; IPv6 is always version 3."
        },
        "advert": reference(
            "duration",
            "The advertisement interval; default 1s. Version 2: whole seconds; version 3: steps \
             of 10 ms up to 40.95s."
        ),
        "checksum": {
            "enum": ["auto", "pseudo", "plain"], "default": "auto",
            "description": "Version 3 over IPv4: with pseudo-header, without, or as heard."
        },
        "auth": auth(),
        "down_after": {
            "type": "integer", "minimum": 1, "maximum": DOWN_AFTER_MAX,
            "default": DOWN_AFTER_DEFAULT,
            "description": "How many adverts are missing before an active router is down."
        },
        "answer_lower": flag(true, "Answer an active router of lower priority with an advert at once."),
        "advert_before_yield": flag(false, "Send one more advert before giving way to a router of higher priority."),
        "hop_limit": whole(1, 255, "The hop limit of adverts to `unicast_peers`; default 255."),
        "min_hop_limit": whole(
            1, 255, "The least hop limit of adverts from `unicast_peers`; default any."
        ),
        "multicast": {
            "type": "object", "additionalProperties": false,
            "properties": {
                "ipv4": reference("ip", "Default 224.0.0.18."),
                "ipv6": reference("ip", "Default ff02::12."),
            },
            "description": "Other multicast groups for adverts."
        },
        "start_delay": reference(
            "duration",
            "For so long after the start of the daemon nothing is claimed, up to 24h; default 0s."
        ),
    });
    described(table(properties, &[]), text)
}

fn shared() -> Value {
    json!({
        "virtual_mac": {
            "description": "Give the addresses the virtual MAC address; a text names its interface.",
            "default": false,
            "anyOf": [
                { "type": "boolean" },
                { "type": "string", "minLength": 1, "maxLength": INTERFACE_NAME_MAX }
            ]
        },
        "adverts_from": {
            "enum": ["virtual_mac", "interface"], "default": "virtual_mac",
            "description": "The MAC address that multicast adverts come from."
        },
        "accept": flag(true, "Take packets to the virtual addresses for the node itself while it holds them."),
        "heartbeat": flag(true, "Do heartbeats run on the interface of the router?"),
        "announce": {
            "description": "Announce addresses after a takeover; a duration repeats it while active, \
                            a table is a schedule.",
            "default": true,
            "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/duration" }, announce()]
        },
        "unicast_peers": {
            "type": "array", "maxItems": UNICAST_PEERS_MAX, "items": { "$ref": "#/$defs/ip" },
            "description": "All speakers; adverts go to each of them. A node skips itself."
        },
    })
}

fn announce() -> Value {
    let times = |least: u16, text: &str| {
        json!({
            "type": "integer", "minimum": least, "maximum": ANNOUNCE_REPEAT_MAX,
            "description": text
        })
    };
    let properties = json!({
        "repeat": times(1, "How often each address is announced after a takeover; default 1."),
        "again_after": reference("duration", "As often once more, this long after it; 0s: not."),
        "refresh": reference("duration", "Announce again this often while active, 1s to 24h."),
        "refresh_repeat": times(1, "How often each of those times; default 1."),
        "lower_repeat": times(
            0,
            "How often when an active router of lower priority is heard; default `repeat`."
        ),
        "lower_after": reference(
            "duration",
            "As often once more, this long after it; default `again_after`."
        ),
        "interval": reference(
            "duration",
            "The shortest time between two announcements on an interface, up to 1s; default 0s."
        ),
    });
    table(properties, &[])
}

fn group() -> Value {
    let mut properties = shared();
    properties["election"] = json!({
        "enum": ["vrrp"], "default": "vrrp",
        "description": "How the active node is chosen; \"cluster\" is not supported yet."
    });
    properties["nodes"] = json!({
        "type": "array", "minItems": 1, "maxItems": NODES_MAX, "uniqueItems": true,
        "items": { "type": "string" },
        "description": "The nodes that it runs on; default all."
    });
    properties["priority"] = per_node("priority", "Overrides the priority of the node.");
    properties["owner"] = json!({
        "type": "string",
        "description": "The node that owns the addresses: it has priority 255 and always takes them."
    });
    properties["failback"] = json!({
        "description": "When the preferred node gets the group back: once it is ready, when an \
                        operator says so, or after a delay.",
        "default": "auto",
        "anyOf": [{ "enum": ["auto", "manual"] }, { "$ref": "#/$defs/duration" }]
    });
    properties["track"] = json!({
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                { "const": "fault" },
                { "type": "integer", "minimum": -WEIGHT_MAX, "maximum": WEIGHT_MAX },
            ]
        },
        "description": "Checks by name: \"fault\", or a weight. Above 0 it is added to the priority \
                        while the check passes, below 0 while it fails."
    });
    procedure::add_to(&mut properties);
    properties["vrrp"] = vrrp("What the routers of the group say on the wire.");
    properties["router"] = named("The virtual routers of the group, by name.", router());
    properties["routes"] = json!({
        "type": "array", "maxItems": ROUTES_MAX, "items": route(),
        "description": "Routes that come and go with the addresses."
    });
    properties["rules"] = json!({
        "type": "array", "maxItems": RULES_MAX, "items": rule(),
        "description": "Rules of policy routing that come and go with the addresses."
    });
    described(table(properties, &["router"]), "What moves as one unit.")
}

fn check() -> Value {
    let count = json!({ "type": "integer", "minimum": 1, "maximum": COUNT_MAX, "default": 1 });
    let properties = json!({
        "test": {
            "description": "What is looked at: carrier:IFACE, interface:IFACE, group:NAME, \
                            route:PREFIX, process:NAME, file:PATH, value:PATH, exec:PATH ARGUMENTS, \
                            arp:ADDRESS, ping:ADDRESS, tcp:ADDRESS:PORT. In an array the other \
                            elements are arguments.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "array", "minItems": 1, "maxItems": WORDS_MAX,
                    "items": { "type": "string" }
                }
            ]
        },
        "interval": reference("duration", "How often, 10ms to 1d; default 1s."),
        "timeout": reference("duration", "How long it may take, 1ms to 1d; default 1s."),
        "rise": described(count.clone(), "How many passes in a row make it pass again."),
        "fall": described(count, "How many failures in a row make it fail."),
        "first": {
            "enum": ["result", "fail"], "default": "result",
            "description": "The first result decides, or it counts as failed until it has passed."
        },
        "invert": flag(false, "A pass counts as a failure and the other way round."),
        "user": described(procedure::user(), &format!("Who runs an exec; default {USER_DEFAULT}.")),
        "user_group": described(procedure::user(), "As which group; default the user's own."),
    });
    described(table(properties, &["test"]), "Something that is looked at, for groups to track.")
}

fn router() -> Value {
    let mut properties = shared();
    properties["interface"] = per_node("interface", "The interface.");
    properties["vrid"] = json!({
        "type": "integer", "minimum": 1, "maximum": 255,
        "description": "The virtual router identifier; without it no adverts are sent."
    });
    properties["addresses"] = json!({
        "type": "array", "minItems": 1, "maxItems": ADDRESSES_IPV4_MAX + ADDRESSES_IPV6_MAX,
        "items": { "anyOf": [{ "$ref": "#/$defs/address" }, address()] },
        "description": "The virtual addresses with their prefix lengths."
    });
    properties["source"] = per_node("ip", "The source address of adverts.");
    let text = "A virtual router: one interface, one or two address families.";
    described(table(properties, &["interface", "addresses"]), text)
}

fn whole(least: u32, most: u32, text: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most, "description": text })
}

fn flag(default: impl Into<Option<bool>>, text: &str) -> Value {
    json!({ "type": "boolean", "default": default.into(), "description": text })
}

fn kept() -> Value {
    flag(true, "Put back when it is removed.")
}

fn hop() -> Value {
    json!({
        "via": reference("ip", "The next router."),
        "interface": per_node("interface", "The interface."),
        "onlink": flag(false, "The next router is there, whatever the addresses say."),
    })
}

fn route() -> Value {
    let kinds: Vec<&str> = RouteKind::WORDS.iter().map(|(word, _)| *word).collect();
    let scopes: Vec<&str> = Scope::WORDS.iter().map(|(word, _)| *word).collect();
    let mut nexthop = hop();
    nexthop["weight"] = whole(1, NEXTHOP_WEIGHT_MAX.into(), "Its share; default 1.");
    let mut properties = hop();
    properties["to"] = json!({
        "type": "string", "pattern": "^(default|[0-9A-Fa-f:.]+/[0-9]{1,3})$",
        "description": "Where it leads."
    });
    properties["type"] = json!({
        "enum": kinds, "default": "unicast", "description": "What becomes of the packets."
    });
    properties["nexthops"] = json!({
        "type": "array", "minItems": 1, "maxItems": NEXTHOPS_MAX, "items": table(nexthop, &[]),
        "description": "Several ways."
    });
    properties["source"] = reference("ip", "What our own packets come from.");
    properties["metric"] = whole(0, u32::MAX, "The lowest of the same destination counts.");
    properties["table"] = whole(1, u32::MAX, "The table; default 254, which is main.");
    properties["scope"] = json!({ "enum": scopes, "description": "IPv4." });
    properties["mtu"] = whole(68, 65_535, "The largest packet.");
    properties["advmss"] = whole(1, 65_535, "The largest segment of TCP.");
    properties["hoplimit"] = whole(1, 255, "The hop limit of our own packets.");
    properties["keep"] = kept();
    table(properties, &["to"])
}

fn rule() -> Value {
    let network = json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" });
    let name = json!({ "$ref": "#/$defs/interface" });
    let properties = json!({
        "from": described(network.clone(), "Packets from here."),
        "to": described(network, "Packets to there."),
        "in": described(name.clone(), "Packets that come in here."),
        "out": described(name, "Packets of sockets that are bound to this interface."),
        "mark": {
            "type": "string",
            "pattern": "^(0x[0-9A-Fa-f]+|[0-9]+)(/(0x[0-9A-Fa-f]+|[0-9]+))?$",
            "description": "Packets with this mark."
        },
        "tos": whole(0, 255, "Packets with this type of service."),
        "not": flag(false, "All packets but those."),
        "table": whole(1, u32::MAX, "The table that is asked."),
        "type": {
            "enum": ["blackhole", "unreachable", "prohibit", "nop"],
            "description": "What becomes of them instead."
        },
        "priority": whole(1, u32::MAX, "Its number: the lowest is asked first."),
        "suppress_prefix": whole(0, 128, "Pass over routes with no longer prefix."),
        "keep": kept(),
    });
    table(properties, &["priority"])
}

fn address() -> Value {
    let scopes: Vec<&str> = Scope::WORDS.iter().map(|(word, _)| *word).collect();
    let mut deprecated = flag(None, "Never chosen as a source; default: IPv6 yes.");
    deprecated.as_object_mut().map(|keys| keys.remove("default"));
    let properties = json!({
        "address": reference("address", "The address with its prefix length."),
        "interface": per_node("interface", "Another interface than that of the router."),
        "label": {
            "type": "string", "minLength": 1, "maxLength": LABEL_MAX, "pattern": "^[!-~]+$",
            "description": "The label that `ip` shows; IPv4."
        },
        "scope": { "enum": scopes, "description": "How far it is valid; IPv4." },
        "peer": {
            "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
            "description": "The other end; its prefix length, if it has one, counts."
        },
        "broadcast": {
            "type": "string", "pattern": "^(auto|[0-9.]+)$",
            "description": "The broadcast address; IPv4."
        },
        "advertise": flag(true, "Is it in the adverts?"),
        "deprecated": deprecated,
        "detect_duplicates": flag(false, "Look for another holder first; IPv6."),
        "prefix_route": flag(true, "A route to its subnet."),
        "keep": flag(true, "Put it back when somebody removes it."),
    });
    table(properties, &["address"])
}

fn conntrackd() -> Value {
    let properties = json!({
        "peer": { "type": "string", "description": "The foreign node that runs conntrackd." },
        "link": { "type": "string", "description": "The link that both share." },
        "mode": {
            "enum": ["ftfw", "notrack"], "default": "ftfw",
            "description": "The Mode of its configuration."
        },
        "port": {
            "type": "integer", "minimum": 1, "maximum": u16::MAX,
            "default": CONNTRACKD_PORT_DEFAULT,
            "description": "Its UDP port; with multicast it is called Group there."
        },
        "address": reference(
            "ip",
            "The address of the peer, where its configuration has UDP; without it multicast."
        ),
        "group": {
            "type": "string", "default": CONNTRACKD_GROUP_DEFAULT.to_string(),
            "description": "The multicast group, where its configuration has Multicast."
        },
    });
    described(table(properties, &["peer", "link"]), "The other box of a pair runs conntrackd.")
}

fn replicate() -> Value {
    let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
    let octet = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let later = json!({ "type": "array", "maxItems": 0, "description": "Not supported." });
    let properties = json!({
        "links": {
            "type": "array", "minItems": 1, "maxItems": LINKS_MAX, "uniqueItems": true,
            "items": { "type": "string" },
            "description": "The links that carry it, the preferred one first; default all, by name."
        },
        "protocols": {
            "type": "array", "uniqueItems": true, "items": { "anyOf": [{ "enum": names }, octet] },
            "description": "Names or numbers of IP protocols; default all."
        },
        "ignore": {
            "type": "array", "maxItems": IGNORE_MAX, "uniqueItems": true,
            "items": { "type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" },
            "description": "Networks whose connections are not replicated, to or from."
        },
        "zones": {
            "type": "array", "maxItems": ZONES_MAX, "uniqueItems": true,
            "items": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
            "description": "Zones of connection tracking; default all."
        },
        "coalesce": reference(
            "duration",
            "How long changes of a connection are collected before they are sent, 0ms to 1s; \
             default 2ms."
        ),
        "protect_after": reference(
            "duration",
            "Connections younger than this are not replicated, 0ms to 1h; default 0ms."
        ),
        "recovery": {
            "enum": ["flexible", "strict"], "default": "flexible",
            "description": "Whether sequence numbers are checked from the first packet on after a takeover."
        },
        "marks": {
            "type": "array", "maxItems": MARKS_MAX, "uniqueItems": true,
            "items": {
                "type": "string",
                "pattern": "^(0x[0-9A-Fa-f]+|[0-9]+)(/(0x[0-9A-Fa-f]+|[0-9]+))?$"
            },
            "description": "Marks of connections, each with a mask; default all."
        },
        "defer": later,
        "conntrackd": conntrackd(),
    });
    described(table(properties, &[]), "Replication of connections to every peer, over the links.")
}
