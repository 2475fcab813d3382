//! The lab of Evergate: a client, two gateways and a server in network namespaces, with faults and probes.
//!
//! It drives the built programs `evergated` and `evergate` as a user would and imports nothing of ours but the
//! contract, `evergate-api`. Read on with [`lab::Lab`] (what is up), [`fault::Fault`] (what can be broken),
//! [`probe::Probe`] and [`load::Load`] (what the client sees), [`watch::AddressWatch`] (who holds what).

#![deny(unsafe_code)]

pub mod bench;
pub mod bench_replicate;
pub mod bench_routers;
pub mod binaries;
pub mod cleanup;
pub mod clock;
pub mod config;
pub mod conntrack;
pub mod conntrackd;
pub mod control;
pub mod demo;
pub mod dice;
pub mod error;
pub mod fault;
pub mod figures;
pub mod filter;
pub mod firewall;
pub mod frr;
pub mod ftp;
pub mod gap;
pub mod idle;
mod imported;
pub mod lab;
pub mod load;
pub mod mac_watch;
pub mod matrix;
pub mod netns;
pub mod news;
pub mod node;
pub mod package;
pub mod peer;
pub mod privilege;
pub mod probe;
pub mod replication;
pub mod run;
pub mod scenario;
pub mod shell;
pub mod spy;
mod sys;
pub mod terminal;
pub mod topology;
pub mod wait;
pub mod watch;
pub mod wire;
