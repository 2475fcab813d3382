//! Configurations by chance: the example with a position for each of many knobs.

use crate::config::Config;
use crate::dice::Dice;

/// What a position of a knob says: table, key, value. `LAN` and `WAN` stand for the names of the routers of the
/// example; the values of a key that ends in `+` are gathered in one array.
type Words = &'static [(&'static str, &'static str, &'static str)];

/// Something that a reload may change. Its first position is that of the example.
struct Knob {
    name: &'static str,
    positions: &'static [Words],
}

/// Everything that is turned. Weights are smaller than the distance of any two priorities, and the group with the traffic is
/// always announced: then only the priorities say who is preferred, and a handover is seen by everybody.
const KNOBS: &[Knob] = &[
    Knob {
        name: "priority of gw1",
        positions: &[&[], &[("node.gw1", "priority", "180")], &[("node.gw1", "priority", "80")]],
    },
    Knob { name: "priority of gw2", positions: &[&[], &[("node.gw2", "priority", "120")]] },
    Knob {
        name: "failback",
        positions: &[
            &[],
            &[("group.gateway", "failback", "\"500ms\"")],
            &[("group.gateway", "failback", "\"manual\"")],
        ],
    },
    Knob {
        name: "heartbeat",
        positions: &[
            &[],
            &[("cluster", "heartbeat", "\"8ms\"")],
            &[("cluster", "heartbeat", "\"20ms\"")],
        ],
    },
    Knob {
        name: "advert",
        positions: &[
            &[],
            &[("group.gateway.vrrp", "advert", "\"2s\"")],
            &[("group.gateway.vrrp", "advert", "\"300ms\"")],
            &[("vrrp", "advert", "\"3s\"")],
        ],
    },
    Knob { name: "version", positions: &[&[], &[("group.gateway.vrrp", "version", "2")]] },
    Knob {
        name: "checksum",
        positions: &[
            &[],
            &[("vrrp", "checksum", "\"plain\"")],
            &[("vrrp", "checksum", "\"pseudo\"")],
        ],
    },
    Knob {
        name: "auth",
        positions: &[
            &[],
            &[("group.gateway.vrrp", "auth", "{ type = \"pass\", key_file = \"pass.key\" }")],
            &[("group.gateway.vrrp", "auth", "{ type = \"ah\", key_file = \"pass.key\" }")],
            &[("group.gateway.vrrp", "auth", "{ type = \"hmac\", key_files = { 1 = \"a.key\" } }")],
            &[(
                "group.gateway.vrrp",
                "auth",
                "{ type = \"hmac\", key_files = { 1 = \"a.key\", 2 = \"b.key\" }, active = 2, mode = \"permissive\" }",
            )],
        ],
    },
    Knob {
        name: "announce",
        positions: &[
            &[],
            &[("group.gateway", "announce", "\"2s\"")],
            &[(
                "group.gateway",
                "announce",
                "{ repeat = 3, again_after = \"1s\", interval = \"1ms\" }",
            )],
        ],
    },
    Knob { name: "vrid of lan", positions: &[&[], &[("LAN", "vrid", "151")]] },
    Knob {
        name: "vrid of wan",
        positions: &[&[], &[("WAN", "vrid", "152")], &[("WAN", "vrid", "153")]],
    },
    Knob {
        name: "source",
        positions: &[&[], &[("LAN", "source", "{ gw1 = \"10.91.0.2\", gw2 = \"10.91.0.3\" }")]],
    },
    Knob {
        name: "unicast peers",
        positions: &[&[], &[("WAN", "unicast_peers", "[\"10.92.0.2\", \"10.92.0.3\"]")]],
    },
    Knob { name: "heartbeat on lan", positions: &[&[], &[("LAN", "heartbeat", "false")]] },
    Knob {
        name: "address of the link",
        positions: &[
            &[],
            &[("link.sync", "address", "{ gw1 = \"10.93.0.1\", gw2 = \"10.93.0.2\" }")],
        ],
    },
    Knob {
        name: "another link",
        positions: &[
            &[],
            &[("link.also", "interface", "\"wan\"")],
            &[("link.also", "interface", "\"lan\"")],
        ],
    },
    Knob { name: "coalesce", positions: &[&[], &[("replicate", "coalesce", "\"5ms\"")]] },
    Knob {
        name: "a check that passes",
        positions: &[
            &[],
            &[
                ("check.file", "test", "\"file:/etc/passwd\""),
                ("group.gateway.track", "file", "\"fault\""),
            ],
            &[
                ("check.file", "test", "\"file:/etc/passwd\""),
                ("group.gateway.track", "file", "-8"),
            ],
            &[
                ("check.file", "test", "\"file:/etc/passwd\""),
                ("check.file", "interval", "\"300ms\""),
                ("group.gateway.track", "file", "7"),
            ],
        ],
    },
    Knob {
        name: "a check that fails",
        positions: &[
            &[],
            &[
                ("check.none", "test", "\"file:/no/such/file\""),
                ("group.gateway.track", "none", "-6"),
            ],
            &[
                ("check.none", "test", "\"file:/no/such/file\""),
                ("check.none", "invert", "true"),
                ("group.gateway.track", "none", "\"fault\""),
            ],
        ],
    },
    Knob {
        name: "a check of a carrier",
        positions: &[
            &[],
            &[("check.cable", "test", "\"carrier:sync\""), ("group.gateway.track", "cable", "-5")],
        ],
    },
    Knob {
        name: "10.91.0.70",
        positions: &[
            &[],
            &[("LAN", "addresses+", "\"10.91.0.70/24\"")],
            &[("LAN", "addresses+", "{ address = \"10.91.0.70/24\", label = \"lan:a\" }")],
            &[("LAN", "addresses+", "{ address = \"10.91.0.70/24\", keep = false }")],
            &[(
                "LAN",
                "addresses+",
                "{ address = \"10.91.0.70/24\", advertise = false, broadcast = \"auto\" }",
            )],
        ],
    },
    Knob {
        name: "10.95.0.1",
        positions: &[
            &[],
            &[("LAN", "addresses+", "\"10.95.0.1/24\"")],
            &[("LAN", "addresses+", "{ address = \"10.95.0.1/24\", scope = \"link\" }")],
            &[("LAN", "addresses+", "{ address = \"10.95.0.1/24\", interface = \"wan\" }")],
        ],
    },
    Knob {
        name: "10.94.0.1",
        positions: &[
            &[],
            &[("WAN", "addresses+", "{ address = \"10.94.0.1/32\", peer = \"10.94.0.2\" }")],
            &[("WAN", "addresses+", "{ address = \"10.94.0.1/32\", prefix_route = false }")],
        ],
    },
    Knob {
        name: "fd91::5",
        positions: &[
            &[],
            &[("LAN", "addresses+", "\"fe80::91:5/64\""), ("LAN", "addresses+", "\"fd91::5/64\"")],
            &[
                ("LAN", "addresses+", "\"fe80::91:5/64\""),
                ("LAN", "addresses+", "{ address = \"fd91::5/64\", deprecated = false }"),
            ],
        ],
    },
    Knob {
        name: "a route",
        positions: &[
            &[],
            &[("group.gateway", "routes+", "{ to = \"10.50.0.0/16\", via = \"10.92.0.10\" }")],
            &[(
                "group.gateway",
                "routes+",
                "{ to = \"10.50.0.0/16\", via = \"10.92.0.10\", metric = 5 }",
            )],
        ],
    },
    Knob {
        name: "another route",
        positions: &[
            &[],
            &[(
                "group.gateway",
                "routes+",
                "{ to = \"10.51.0.0/16\", type = \"blackhole\", table = 100 }",
            )],
        ],
    },
    Knob {
        name: "a rule",
        positions: &[
            &[],
            &[(
                "group.gateway",
                "rules+",
                "{ from = \"10.60.0.0/16\", table = 100, priority = 1000 }",
            )],
            &[(
                "group.gateway",
                "rules+",
                "{ from = \"10.60.0.0/16\", table = 100, priority = 1001 }",
            )],
        ],
    },
    Knob {
        name: "group alpha",
        positions: &[
            &[],
            &[
                ("group.alpha.router.one", "interface", "\"lan\""),
                ("group.alpha.router.one", "vrid", "61"),
                ("group.alpha.router.one", "addresses+", "\"10.91.0.61/24\""),
            ],
            &[
                ("group.alpha", "priority", "{ gw1 = 50, gw2 = 60 }"),
                ("group.alpha.router.one", "interface", "\"lan\""),
                ("group.alpha.router.one", "vrid", "61"),
                ("group.alpha.router.one", "addresses+", "\"10.91.0.61/24\""),
            ],
            &[
                ("group.alpha", "announce", "false"),
                ("group.alpha.router.one", "interface", "\"wan\""),
                ("group.alpha.router.one", "vrid", "62"),
                ("group.alpha.router.one", "addresses+", "\"10.92.0.61/24\""),
            ],
        ],
    },
    Knob {
        name: "group zeta",
        positions: &[
            &[],
            &[
                ("group.zeta.router.two", "interface", "\"wan\""),
                ("group.zeta.router.two", "vrid", "71"),
                ("group.zeta.router.two", "addresses+", "\"10.92.0.71/24\""),
            ],
            &[
                ("group.omega.router.two", "interface", "\"wan\""),
                ("group.omega.router.two", "vrid", "71"),
                ("group.omega.router.two", "addresses+", "\"10.92.0.71/24\""),
            ],
            &[
                ("group.zeta.router.two", "interface", "\"wan\""),
                ("group.zeta.router.two", "vrid", "71"),
                ("group.zeta.router.two", "virtual_mac", "true"),
                ("group.zeta.router.two", "addresses+", "\"10.92.0.71/24\""),
            ],
        ],
    },
    Knob {
        name: "name of lan",
        positions: &[&[], &[("LAN", "name", "group.gateway.router.inside")]],
    },
    Knob {
        name: "name of wan",
        positions: &[&[], &[("WAN", "name", "group.gateway.router.a-wan")]],
    },
    Knob { name: "order of addresses", positions: &[&[], &[("LAN", "reversed", "")]] },
];

/// The most knobs that are turned for one reload.
const TURNS_MAX: usize = 4;

/// A configuration: a position for each knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The example.
    pub fn example() -> Self {
        Self(vec![0; KNOBS.len()])
    }

    /// Another one, with one to four knobs turned; gives also which.
    pub fn turned(&self, dice: &mut Dice) -> (Self, Vec<&'static str>) {
        let (mut shape, mut turned) = (self.clone(), Vec::new());
        for _ in 0..=dice.below(TURNS_MAX) {
            let at = dice.below(KNOBS.len());
            let knob = &KNOBS[at];
            // Never the position where it is, except by turning it twice.
            shape.0[at] =
                (shape.0[at] + 1 + dice.below(knob.positions.len() - 1)) % knob.positions.len();
            turned.push(knob.name);
        }
        (shape, turned)
    }

    /// The values of a key, in the order of the knobs.
    fn values(&self, table: &str, key: &str) -> Vec<&'static str> {
        let words = self.words().filter(|(of, one, _)| *of == table && *one == key);
        words.map(|(_, _, value)| value).collect()
    }

    fn words(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let positions = KNOBS.iter().zip(&self.0);
        positions.flat_map(|(knob, position)| knob.positions[*position].iter().copied())
    }

    /// The file.
    pub fn config(&self) -> Config {
        let name = |table: &str| match table {
            "LAN" => self
                .values("LAN", "name")
                .first()
                .copied()
                .unwrap_or("group.gateway.router.lan")
                .to_owned(),
            "WAN" => self
                .values("WAN", "name")
                .first()
                .copied()
                .unwrap_or("group.gateway.router.wan")
                .to_owned(),
            other => other.to_owned(),
        };
        let mut config = Config::example()
            .with_secret("pass.key", "secret12\n")
            .with_secret("a.key", "one of two keys\n")
            .with_secret("b.key", "the other of two keys\n")
            .without_table("group.gateway.router.lan")
            .without_table("group.gateway.router.wan")
            .with("group.gateway", "nodes", "[\"gw1\", \"gw2\"]");
        for (table, interface, vrid, address) in
            [("LAN", "lan", "51", "\"10.91.0.1/24\""), ("WAN", "wan", "52", "\"10.92.0.1/24\"")]
        {
            let mut addresses = vec![address];
            addresses.extend(self.values(table, "addresses+"));
            if !self.values(table, "reversed").is_empty() {
                addresses.reverse();
            }
            config = config
                .with(&name(table), "interface", &format!("\"{interface}\""))
                .with(&name(table), "vrid", vrid)
                .with(&name(table), "addresses", &format!("[{}]", addresses.join(", ")));
        }
        for (table, key, value) in self.words() {
            let is_router = matches!(table, "LAN" | "WAN");
            config = match key.strip_suffix('+') {
                Some("addresses") if is_router => config,
                Some(list) => {
                    config.with(table, list, &format!("[{}]", self.values(table, key).join(", ")))
                }
                None if matches!(key, "name" | "reversed") => config,
                None => config.with(&name(table), key, value),
            };
        }
        config
    }

    /// The priorities of both nodes in the group with the traffic.
    pub fn priorities(&self) -> (u8, u8) {
        let of = |node, otherwise| {
            let value = self.values(node, "priority").first().and_then(|value| value.parse().ok());
            value.unwrap_or(otherwise)
        };
        (of("node.gw1", 200), of("node.gw2", 100))
    }

    /// Whether that group goes back to the preferred node by itself.
    pub fn goes_back(&self) -> bool {
        self.values("group.gateway", "failback") != ["\"manual\""]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evergate_api::config::{Sources, parse};

    #[test]
    fn the_first_shape_is_the_example_and_most_others_are_valid() {
        let read = |config: &Config| {
            parse(Sources::from_text("a.toml", &config.to_toml())).config.expect("a good file")
        };
        let (mut shape, example) = (Shape::example(), read(&Config::example()));
        // What is written differs: the shape spells out some defaults.
        let mut first = read(&shape.config());
        first.digest = example.digest;
        assert_eq!(first, example);
        let (mut dice, mut valid) = (Dice::new(1), 0);
        for _ in 0..500 {
            shape = shape.turned(&mut dice).0;
            let outcome = parse(Sources::from_text("a.toml", &shape.config().to_toml()));
            valid += usize::from(outcome.config.is_some());
        }
        assert!(valid > 100, "{valid} of 500");
    }

    #[test]
    fn each_position_of_each_knob_can_be_valid() {
        for (at, knob) in KNOBS.iter().enumerate() {
            for position in 0..knob.positions.len() {
                let mut shape = Shape::example();
                shape.0[at] = position;
                let says = |shape: &Shape| {
                    parse(Sources::from_text("a.toml", &shape.config().to_toml())).report
                };
                // Passwords are of version 2.
                let version =
                    KNOBS.iter().position(|knob| knob.name == "version").expect("it is there");
                let mut second = shape.clone();
                second.0[version] = 1;
                let report = says(&shape);
                assert!(
                    !report.has_errors() || !says(&second).has_errors(),
                    "{}: {}",
                    knob.name,
                    report.render(false)
                );
            }
        }
    }
}
