//! What the kernel's news does not tell: flows that live on without any, and flows whose news was lost.

use std::time::Duration;

use super::stateful::virtual_address;
use super::stateful_flows::{plan, translated};
use super::{Bed, Needs, Scenario, claim, ready};
use crate::clock;
use crate::config::Config;
use crate::conntrack::{self, Family, Made, Table};
use crate::error::Result;
use crate::fault::Fault;
use crate::firewall::Firewall;
use crate::load::{FlowKind, Flows};
use crate::wait::SYNC_LIMIT;

/// How long the kernel keeps a flow of UDP without packets, in seconds.
const UDP_TIMEOUT_S: &str = "1";
/// Flows of each of the client's two addresses.
const FLOWS: u16 = 50;
/// The lease of a copy is renewed when less than this is left of it, in seconds.
const RENEWED_BELOW_S: u32 = 300;
/// What is left of the leases by hand, so that they need to be renewed.
const SHORT_LEASE_S: u32 = 180;
/// How long a renewal may take: the table is read whole every two minutes.
const RENEWAL_LIMIT: Duration = Duration::from_secs(150);
/// How long the other gateway may take to hold the addresses after a power cut.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the receive buffer that is too small: some ten pieces of news.
const SMALL_BUFFER: usize = 8 << 10;
/// Short flows that are made at once.
const AT_ONCE: u32 = 5_000;
/// One of so many short flows stays.
const ONE_STAYS: u32 = 20;
/// How long the copy may take to be equal, from the last flow on.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "replicate-quiet-udp",
        shows: "UDP without news for ten times its timeout lives through a power cut",
        needs: Needs::Daemon,
        long: false,
        test: |bed| quiet_udp(bed, Duration::from_secs(10), false),
    },
    Scenario {
        name: "replicate-quiet-udp-hour",
        shows: "the same for sixty times its timeout and more, and its lease is renewed",
        needs: Needs::Daemon,
        long: true,
        test: |bed| quiet_udp(bed, Duration::from_secs(60), true),
    },
    Scenario {
        name: "replicate-lost-news",
        shows: "100,000 short flows of which the kernel's news is lost: tables equal within 60 s",
        needs: Needs::Root,
        long: false,
        test: |bed| lost_news(bed, 100_000),
    },
    Scenario {
        name: "replicate-lost-news-million",
        shows: "the same with 1,000,000 short flows",
        needs: Needs::Root,
        long: true,
        test: |bed| lost_news(bed, 1_000_000),
    },
];

fn quiet_udp(bed: &Bed, span: Duration, renew: bool) -> Result<()> {
    let lab = bed.stateful_lab(Firewall::snat())?;
    for gateway in lab.gateways() {
        for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            lab.topology.gateway(gateway).sysctl(&format!("netfilter/{key}"), UDP_TIMEOUT_S)?;
        }
    }
    let (mut lab, active) = ready(lab, Config::example())?;
    lab.wait_in_sync(SYNC_LIMIT)?;
    let standby = active.other();
    let flow_plan = plan(FlowKind::Udp, FLOWS);
    let flows = Flows::start(&lab.topology, &flow_plan)?;
    // A flow of UDP is assured two seconds after it began, which is told.
    clock::sleep(Duration::from_secs(3));
    let told = lab.counted(active, "told")?;
    let start = clock::now();
    let mut renewed_after = None;
    if renew {
        let made = conntrack::set_timeouts(lab.topology.gateway(standby), SHORT_LEASE_S)?;
        claim(made >= usize::from(FLOWS) * 2, || format!("only {made} copies"))?;
        clock::wait_for("leases to be renewed", RENEWAL_LIMIT, Duration::from_secs(1), || {
            let left = Table::read(lab.topology.gateway(standby))?.shortest_timeout();
            Ok((left > Some(RENEWED_BELOW_S)).then_some(()))
        })?;
        renewed_after = Some(start.elapsed());
    }
    clock::sleep(span.saturating_sub(start.elapsed()));
    let news = lab.counted(active, "told")? - told;
    let at = start.elapsed();
    lab.inflict(&Fault::Power(active))?;
    lab.wait_holder(standby, TAKEOVER_LIMIT)?;
    clock::sleep(Duration::from_secs(2));
    let report = flows.stop();
    println!(
        "      {} flows, {news} told in {:.0} s, leases renewed after {renewed_after:?}: {report:?}",
        report.flows,
        at.as_secs_f64()
    );
    // Probes of others may be told; not those flows, again and again.
    claim(news < report.flows as u64, || format!("{news} flows told: they were not quiet"))?;
    let good = report.silent + report.moved == 0 && report.corrupted == 0;
    claim(good && report.answered > 0, || format!("{report:?}"))?;
    translated(
        &report,
        virtual_address(flow_plan.target) == Vec::from_iter(report.seen_from.clone()),
    )
}

/// Short flows that another process makes, while the daemon has no room for the news of them.
fn lost_news(bed: &Bed, flows: u32) -> Result<()> {
    // What has ended stays in the kernel until the news of it was taken.
    conntrack::make_room(u64::from(flows) + 500_000)?;
    let (lab, active) = bed.stateful(Config::example(), Firewall::snat())?;
    lab.shrink_news(active, SMALL_BUFFER)?;
    let made = Made::open(lab.topology.gateway(active), Family::V4)?;
    let start = clock::now();
    for first in (0..flows).step_by(AT_ONCE as usize) {
        let some = first..flows.min(first + AT_ONCE);
        made.create(some.clone())?;
        made.delete(some.filter(|number| number % ONE_STAYS != 0))?;
    }
    let took = start.elapsed();
    let settled = lab.wait_equal(active, REST_LIMIT)?;
    let stay = Table::read(lab.topology.gateway(active))?.len();
    let lost =
        clock::wait_for("lost news to be told", SYNC_LIMIT, Duration::from_millis(100), || {
            Ok(Some(lab.counted(active, "news_lost")?).filter(|lost| *lost > 0))
        })?;
    println!(
        "      {flows} flows in {:.1} s, {lost} pieces of news lost, {} found by reading, {stay} stay; equal after {:.1} s",
        took.as_secs_f64(),
        lab.counted(active, "missed")?,
        settled.as_secs_f64()
    );
    claim(stay >= (flows / ONE_STAYS) as usize, || format!("only {stay} flows stay"))?;
    lab.wait_in_sync(SYNC_LIMIT)
}
