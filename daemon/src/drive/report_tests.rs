//! What a router's report says of what came and went, and over a reload.

use std::net::{IpAddr, Ipv4Addr};

use evergate_api::control::{ErrorCode, Reply};
use evergate_api::router::{ActiveReason, PacketError, RouterReport, RouterState};
use evergate_core::config::Version;
use evergate_core::effect::Note;
use evergate_core::heartbeat::Role;
use evergate_core::ident::Vrid;
use evergate_core::wire::vrrp::{Advert, Auth, Dialect, encode};

use super::ports::Form;
use super::tests::{Bed, layout};
use super::*;
use crate::kernel::internet_socket::Received;
use crate::kernel::vrrp_socket::GROUP_V4;

const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// A gateway of version 3; the last bytes of its addresses.
fn text(hosts: &[u8]) -> String {
    let addresses: Vec<String> =
        hosts.iter().map(|host| format!("\"192.0.2.{host}/24\"")).collect();
    format!(
        "[group.gateway]\nfailback = \"manual\"\npriority = {{ gw1 = 200, gw2 = 100 }}\n\
         [group.gateway.router.lan]\ninterface = \"evg-lan\"\nvrid = 51\naddresses = [{}]\n",
        addresses.join(", ")
    )
}

/// An advert of a router of another make comes in.
fn hear(bed: &mut Bed, priority: u8, hosts: &[u8], seconds: u64, hop_limit: u8) {
    let advert = Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: Duration::from_secs(seconds),
        addresses: hosts.iter().map(|host| [192, 0, 2, *host].into()).collect(),
        auth: Auth::None,
    };
    let mut packet = Vec::new();
    encode(&advert, Dialect::Pseudo, OTHER, GROUP_V4.into(), &mut packet).unwrap();
    let about = Received {
        source: OTHER,
        source_port: 0,
        destination: GROUP_V4.into(),
        hop_limit,
        length: packet.len(),
        truncated: false,
        received_ns: 0,
    };
    let form = Form::Bare(Family::V4);
    bed.drive.vrrp_packet(instant_now(), InterfaceId(0), form, &about, &packet);
}

fn report(bed: &Bed, id: &str) -> RouterReport {
    match bed.drive.report_router(instant_now(), id) {
        Reply::Router(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn becomes_active(bed: &mut Bed, cause: Cause) {
    let group = GroupId(0);
    for (from, to) in [(Role::Standby, Role::Claiming), (Role::Claiming, Role::Active)] {
        bed.drive.note(instant_now(), &Note::Role { group, from, to, cause });
    }
}

#[test]
fn a_router_that_has_heard_nothing_says_so() {
    let bed = Bed::with(&text(&[1]));
    let report = report(&bed, "gateway/lan/ipv4");
    assert_eq!((report.vrid, report.version), (Some(51), Some(3)));
    assert_eq!(report.state, RouterState::Backup);
    assert_eq!((report.active_address, report.active_advert_ms), (None, None));
    assert_eq!(report.primary_address.as_deref(), Some("192.0.2.2"));
    assert_eq!(report.advert_ms, 1000.0);
    assert!(!report.preempt, "failback by hand");
    assert_eq!(report.active_reason, ActiveReason::NotActive);
    assert_eq!(report.packet_error, PacketError::NoError);
    assert!(report.up_ms.is_some());
}

#[test]
fn what_comes_is_counted_as_the_mib_wants_it() {
    let mut bed = Bed::with(&text(&[1, 3]));
    hear(&mut bed, 250, &[3, 1], 1, 255);
    hear(&mut bed, 250, &[1], 2, 255);
    hear(&mut bed, 250, &[1, 3], 1, 254);
    let seen = report(&bed, "gateway/lan");
    assert_eq!(seen.active_address.as_deref(), Some("192.0.2.9"));
    assert_eq!(seen.active_advert_ms, Some(2000.0));
    assert_eq!(seen.counters.adverts_received, 2);
    assert_eq!((seen.counters.interval_errors, seen.counters.address_list_errors), (1, 1));
    assert_eq!((seen.counters.hop_limit_errors, seen.packet_error), (1, PacketError::HopLimit));
    hear(&mut bed, 0, &[1, 3], 1, 255);
    let seen = report(&bed, "gateway/lan");
    assert_eq!(seen.counters.resignations_received, 1);
    assert_eq!(seen.active_address, None, "it has resigned");
}

#[test]
fn an_address_that_is_left_out_of_the_adverts_is_not_missed_in_those_of_others() {
    let hidden = "{ address = \"192.0.2.8/24\", advertise = false }";
    let text = text(&[1]).replace("\"192.0.2.1/24\"", &format!("\"192.0.2.1/24\", {hidden}"));
    let mut bed = Bed::with(&text);
    hear(&mut bed, 250, &[1], 1, 255);
    assert_eq!(report(&bed, "gateway/lan").counters.address_list_errors, 0);
    hear(&mut bed, 250, &[1, 8], 1, 255);
    assert_eq!(report(&bed, "gateway/lan").counters.address_list_errors, 1);
}

#[test]
fn why_it_became_active_is_told_by_what_was_heard_before() {
    let mut bed = Bed::with(&text(&[1]));
    becomes_active(&mut bed, Cause::DownTimer);
    assert_eq!(report(&bed, "gateway/lan").active_reason, ActiveReason::NoResponse);
    hear(&mut bed, 100, &[1], 1, 255);
    becomes_active(&mut bed, Cause::DownTimer);
    assert_eq!(report(&bed, "gateway/lan").active_reason, ActiveReason::Preempted);
    becomes_active(&mut bed, Cause::Resigned);
    let report = report(&bed, "gateway/lan");
    assert_eq!(report.active_reason, ActiveReason::Priority);
    assert_eq!(report.counters.active_transitions, 3);
}

#[test]
fn a_reload_keeps_the_counters_of_a_router_that_is_the_same_still() {
    let mut bed = Bed::with(&text(&[1]));
    bed.drive.facts.started = Some(instant_now());
    hear(&mut bed, 250, &[1], 1, 255);
    let before = report(&bed, "gateway/lan");
    let other = "[group.before.router.lan]\ninterface = \"evg-lan\"\nvrid = 50\naddresses = [\"192.0.2.50/24\"]\n";
    let secrets = bed.drive.secrets.clone();
    bed.drive.apply(instant_now(), layout(&format!("{other}{}", text(&[1, 3]))), secrets.clone());
    let after = report(&bed, "gateway/lan");
    assert_eq!(after.counters, before.counters);
    assert_eq!(after.counting_since, before.counting_since);
    assert_eq!(report(&bed, "before/lan").counters.adverts_received, 0);
    let renumbered = text(&[1]).replace("vrid = 51", "vrid = 52");
    bed.drive.apply(instant_now(), layout(&renumbered), secrets);
    assert_eq!(report(&bed, "gateway/lan").counters.adverts_received, 0, "another router");
}

#[test]
fn a_router_that_is_not_there_is_told_with_those_that_are() {
    let bed = Bed::with(&text(&[1]));
    let Reply::Error(error) = bed.drive.report_router(instant_now(), "gateway/wan") else {
        panic!("it is not there");
    };
    assert_eq!(error.code, ErrorCode::UnknownRouter);
    assert!(error.text.contains("gateway/lan/ipv4"), "{}", error.text);
}
