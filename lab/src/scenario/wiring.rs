//! The lab itself: does it do what the other tests believe it does?

use std::net::UdpSocket;
use std::time::Duration;

use super::{Bed, Needs, Scenario, claim};
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::filter::Loss;
use crate::lab::Lab;
use crate::load::Load;
use crate::probe::Probe;
use crate::spy::Spy;
use crate::topology::{GW1, SERVER, Segment, VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN, VIRTUAL_WAN6};
use crate::topology::{GW2, Gateway, SERVER6};
use crate::watch::AddressWatch;

/// Time for a fault to show in the probes.
const SHOW: Duration = Duration::from_millis(250);
/// How long probes may take to start or to return.
const LIMIT: Duration = Duration::from_secs(3);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lab-traffic",
        shows: "probes and connections pass a gateway that holds the addresses",
        needs: Needs::Nothing,
        long: false,
        test: traffic,
    },
    Scenario {
        name: "lab-faults",
        shows: "each fault of a cable cuts what it says, and heals",
        needs: Needs::Nothing,
        long: false,
        test: faults,
    },
    Scenario {
        name: "lab-address-watch",
        shows: "an address on two nodes is seen, and for how long",
        needs: Needs::Nothing,
        long: false,
        test: address_watch,
    },
    Scenario {
        name: "lab-spy",
        shows: "frames are recorded and sent again byte for byte",
        needs: Needs::Nothing,
        long: false,
        test: spy,
    },
];

/// Sets the virtual addresses by hand.
pub(super) fn hold(lab: &Lab, gateway: Gateway) -> Result<()> {
    lab.topology.gateway(gateway).ip_batch(&format!(
        "address add {VIRTUAL_LAN}/24 dev lan\naddress add {VIRTUAL_WAN}/24 dev wan\n\
         address add {VIRTUAL_LAN6}/64 dev lan nodad\naddress add {VIRTUAL_WAN6}/64 dev wan nodad\n"
    ))
}

fn traffic(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    hold(&lab, GW1)?;
    let load = Load::start(&lab.topology, SERVER, 300)?;
    for target in [SERVER, SERVER6] {
        let probe = Probe::start(&lab.topology, target)?;
        probe.wait_steady(Duration::from_millis(500), LIMIT)?;
        let record = probe.stop();
        let (sent, lost) = (record.samples.len(), record.lost_since(Duration::from_millis(50)));
        claim(lost == 0 && sent > 300, || format!("{lost} of {sent} probes to {target} lost"))?;
    }
    let report = load.stop();
    claim(report.all_alive() && report.bytes_checked > 50_000, || format!("{report:?}"))
}

fn faults(bed: &Bed) -> Result<()> {
    let mut lab = bed.lab()?;
    hold(&lab, GW1)?;
    let protocol = |number| Fault::Lost(Loss { protocol: Some(number), ..Loss::all(Segment::Lan) });
    let only_to_peer = Fault::OneWay { from: GW1, to: GW2, on: None };
    let cases = [
        (Fault::Isolated(GW1), true),
        (Fault::Silent(GW1, Segment::Wan), true),
        (Fault::Carrier(GW1, Segment::Lan), true),
        (Fault::Lost(Loss { from: Some(GW1), ..Loss::all(Segment::Wan) }), true),
        (protocol(17), true),
        (protocol(112), false),
        (Fault::Silent(GW1, Segment::Sync), false),
        (only_to_peer, false),
    ];
    let probe = Probe::start(&lab.topology, SERVER)?;
    for (fault, cuts) in cases {
        probe.wait_steady(Duration::from_millis(100), LIMIT)?;
        lab.inflict(&fault)?;
        crate::clock::sleep(SHOW);
        let silence = probe.silence();
        lab.heal(&fault)?;
        let silent = silence > SHOW / 2;
        claim(silent == cuts, || {
            format!("{fault}: silent for {silence:?}, expected a cut: {cuts}")
        })?;
    }
    probe.wait_steady(Duration::from_millis(100), LIMIT)?;
    let half = Fault::Lost(Loss { permille: 200, ..Loss::all(Segment::Lan) });
    let before = probe.counts();
    lab.inflict(&half)?;
    crate::clock::sleep(SHOW * 2);
    let after = probe.counts();
    lab.heal(&half)?;
    let (sent, answered) = (after.0 - before.0, after.1 - before.1);
    // Two chances in ten to be lost, twice: 36 % on average.
    claim((sent / 2..sent * 8 / 10).contains(&answered), || {
        format!("{answered} of {sent} answered")
    })
}

fn address_watch(bed: &Bed) -> Result<()> {
    let lab = bed.lab()?;
    let watch = AddressWatch::start(&lab)?;
    hold(&lab, GW1)?;
    hold(&lab, GW2)?;
    crate::clock::sleep(Duration::from_millis(200));
    lab.topology.reset_addresses(GW1)?;
    let log = watch.stop()?;
    for address in [VIRTUAL_LAN, VIRTUAL_WAN6] {
        let overlap = log.overlap(address);
        let range = Duration::from_millis(190)..Duration::from_millis(600);
        claim(range.contains(&overlap), || format!("{address} on two nodes for {overlap:?}"))?;
    }
    claim(lab.holders(VIRTUAL_LAN)? == [GW2], || "gw1 still holds the address".to_owned())
}

fn spy(bed: &Bed) -> Result<()> {
    const PORT: u16 = 8747;
    let lab = bed.lab()?;
    let failed = || LabError::io("a datagram between the gateways");
    let open = |gateway: Gateway| {
        let open = || UdpSocket::bind(("0.0.0.0", PORT));
        lab.topology.gateway(gateway).enter(open)?.map_err(failed())
    };
    let (sender, receiver) = (open(GW1)?, open(GW2)?);
    sender.set_broadcast(true).map_err(failed())?;
    receiver.set_read_timeout(Some(LIMIT)).map_err(failed())?;
    let mut spy = Spy::plug_in(&lab.topology)?;
    spy.record()?;
    sender.send_to(b"once", ("10.93.0.255", PORT)).map_err(failed())?;
    let mut room = [0; 16];
    receiver.recv(&mut room).map_err(failed())?;
    crate::clock::sleep(SHOW);
    let frames: Vec<_> = spy.take().into_iter().filter(|frame| frame.is_udp_to(PORT)).collect();
    claim(frames.len() == 1, || format!("{} frames recorded, not one", frames.len()))?;
    spy.replay(&frames)?;
    let (length, from) = receiver.recv_from(&mut room).map_err(failed())?;
    let same = &room[..length] == b"once" && from.ip().to_string() == GW1.address(Segment::Sync);
    claim(same, || format!("{:?} from {from} came back", &room[..length]))
}
