//! FTP outlives the gateway that reads along: files that are under way, and files of which the ends
//! have agreed before a takeover where they go after it.

use std::net::{IpAddr, SocketAddr};
use std::thread::JoinHandle;

use super::speed::switch;
use super::stateful::{CALM, addresses, power_cut};
use super::wiring::hold;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::conntrack;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::firewall::{Firewall, refused_packets};
use crate::ftp::{self, Agreed, FtpServer, Mode, Session, Transfer};
use crate::lab::Lab;
use crate::netns::Namespace;
use crate::topology::{GW1, Gateway, SERVER, SERVER6};
use crate::wait::{READY_LIMIT, SYNC_LIMIT};

/// Bytes of a file that lives through something: some seconds at the speed of the server.
const LONG: u64 = 4 << 20;
/// Bytes of a file that shows that everything works.
const SHORT: u64 = 100_000;
/// What must have come of a long file before something happens to the gateway.
const BEGUN: u64 = 200_000;
/// A port of the server to which nobody has agreed; somebody listens there.
const OTHER_PORT: u16 = 2121;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-stateful-ftp",
        shows: "a gateway that reads along lets pass what FTP has agreed on and nothing else",
        needs: Needs::Nothing,
        long: false,
        test: alone,
    },
    Scenario {
        name: "stateful-ftp-power-cut",
        shows: "files of FTP behind SNAT, under way and agreed on, come whole through a power cut",
        needs: Needs::Daemon,
        long: false,
        test: |bed| trial(bed, SERVER, 1, |lab, active, _| power_cut(lab, active)),
    },
    Scenario {
        name: "stateful-ftp-switchover",
        shows: "the same through a switchover and then through the failback",
        needs: Needs::Daemon,
        long: false,
        test: |bed| trial(bed, SERVER, 2, to_or_fro),
    },
    Scenario {
        name: "stateful-ftp-ipv6",
        shows: "the same over IPv6 through a power cut",
        needs: Needs::Daemon,
        long: true,
        test: |bed| trial(bed, SERVER6, 1, |lab, active, _| power_cut(lab, active)),
    },
];

/// Without any daemon: does the ruleset need the helper, and does the helper work?
fn alone(bed: &Bed) -> Result<()> {
    let lab = bed.stateful_lab(Firewall::ftp())?;
    hold(&lab, GW1)?;
    let _server = FtpServer::start(&lab.topology.server)?;
    let gateway = lab.topology.gateway(GW1);
    for target in addresses(&[SERVER, SERVER6]) {
        for mode in [Mode::Passive, Mode::Active] {
            let mut session = Session::open(&lab.topology.client, target, mode)?;
            session.fetch(SHORT)?;
            let agreed = session.agree()?;
            let expected = ftp::expected(gateway)?;
            claim(expected == 1, || format!("{expected} connections are expected, not 1"))?;
            let transfer = session.begin(agreed, SHORT)?;
            session.finish(transfer)?;
        }
        refuses_others(&lab, target)?;
        let mut session = Session::open(&lab.topology.client, target, Mode::Passive)?;
        let Agreed::Passive(address) = session.agree()? else { continue };
        conntrack::forget_expectations(gateway)?;
        let opens = ftp::opens(&lab.topology.client, address)?;
        claim(!opens, || "a file needs no expectation".to_owned())?;
    }
    Ok(())
}

fn refuses_others(lab: &Lab, target: IpAddr) -> Result<()> {
    let address = SocketAddr::new(target, OTHER_PORT);
    let _listener =
        lab.topology.server.enter(|| std::net::TcpListener::bind(("::", OTHER_PORT)))?;
    let opens = ftp::opens(&lab.topology.client, address)?;
    claim(!opens, || format!("a connection to {address} passes that nobody has agreed on"))
}

/// The sessions of one mode around something that happens to the active gateway.
struct Pair<'a> {
    mode: Mode,
    /// A file comes all the time.
    busy: (Session<'a>, JoinHandle<Result<Transfer>>),
    /// It is agreed where the next file goes, and nothing has been opened.
    waiting: (Session<'a>, Agreed),
    /// Nothing but the connection on which they talk.
    idle: Session<'a>,
}

impl<'a> Pair<'a> {
    fn begin(client: &'a Namespace, target: IpAddr, mode: Mode) -> Result<Self> {
        let mut busy = Session::open(client, target, mode)?;
        let agreed = busy.agree()?;
        let mut transfer = busy.begin(agreed, LONG)?;
        transfer.take(BEGUN)?;
        let transfer = std::thread::spawn(move || transfer.take(LONG).map(|()| transfer));
        let mut waiting = Session::open(client, target, mode)?;
        let agreed = waiting.agree()?;
        let mut idle = Session::open(client, target, mode)?;
        idle.fetch(SHORT)?;
        Ok(Self { mode, busy: (busy, transfer), waiting: (waiting, agreed), idle })
    }

    /// Everything comes to its end, every byte right.
    fn finish(self) -> Result<()> {
        let of = |what: &str, mode: Mode, result: Result<()>| {
            claim(result.is_ok(), || format!("{mode:?}, {what}: {}", text(&result)))
        };
        let Self { mode, busy: (mut busy, transfer), waiting: (mut waiting, agreed), mut idle } =
            self;
        let agreed = waiting.begin(agreed, SHORT).and_then(|transfer| waiting.finish(transfer));
        of("the file agreed on before", mode, agreed)?;
        let transfer = transfer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        of("the file under way", mode, transfer.and_then(|transfer| busy.finish(transfer)))?;
        for (name, session) in [("busy", &mut busy), ("waiting", &mut waiting), ("idle", &mut idle)]
        {
            of(&format!("a new file of the {name} session"), mode, session.fetch(SHORT))?;
        }
        Ok(())
    }
}

fn text(result: &Result<()>) -> String {
    result.as_ref().err().map_or(String::new(), ToString::to_string)
}

/// Sessions of both modes, and turns in each of which something happens to the active gateway.
fn trial(
    bed: &Bed,
    target: &str,
    turns: usize,
    act: impl Fn(&mut Lab, Gateway, usize) -> Result<()>,
) -> Result<()> {
    let config = if target == SERVER6 { Config::example().with_ipv6() } else { Config::example() };
    let (mut lab, preferred) = bed.stateful(config, Firewall::ftp())?;
    let target = addresses(&[target])[0];
    let _server = FtpServer::start(&lab.topology.server)?;
    let client = lab.topology.client.share()?;
    for turn in 0..turns {
        let standby = if turn.is_multiple_of(2) { preferred.other() } else { preferred };
        let before = ftp::expected(lab.topology.gateway(standby))?;
        let passive = Pair::begin(&client, target, Mode::Passive)?;
        let active = Pair::begin(&client, target, Mode::Active)?;
        clock::sleep(CALM);
        lab.wait_in_sync(SYNC_LIMIT)?;
        let copies = ftp::expected(lab.topology.gateway(standby))?;
        let related = conntrack::related(lab.topology.gateway(standby))?;
        claim(related >= 2, || format!("{related} copies have a master, not those of both files"))?;
        claim(copies == before + 2, || {
            format!("the standby expects {copies} connections and {before} before, not 2 more")
        })?;
        let facts = lab.facts()?;
        act(&mut lab, standby.other(), turn)?;
        passive.finish()?;
        active.finish()?;
        let after = lab.facts()?;
        let (invalid, refused) = (after.invalid_since(&facts), refused(&after) - refused(&facts));
        println!(
            "      turn {turn}: {copies} expectations on the standby; invalid {invalid}, refused {refused}"
        );
        if refused > 0 {
            let gateways = lab.gateways().into_iter().map(|gateway| lab.topology.gateway(gateway));
            let packets: Vec<String> = gateways.map(refused_packets).collect::<Result<_>>()?;
            let text = format!("{refused} packets were refused: {}", packets.join(" "));
            return Err(LabError::Claim(text));
        }
    }
    Ok(())
}

fn refused(facts: &crate::firewall::Facts) -> u64 {
    facts.drops.values().map(|drops| drops.refused).sum()
}

/// In even turns a switchover, in odd ones the failback.
fn to_or_fro(lab: &mut Lab, active: Gateway, turn: usize) -> Result<()> {
    if turn.is_multiple_of(2) {
        return switch(lab, active);
    }
    let answer = lab.control(active)?.ask(&["failback", GROUP])?;
    claim(answer.code == 0, || {
        format!("failback ended with {}: {}{}", answer.code, answer.text, answer.errors)
    })?;
    lab.wait_holder(active.other(), READY_LIMIT)
}
