//! A walk by chance: a storm of faults, then rest, and what must be true then; some times over.

use std::time::Duration;

use super::planted::Defect;
use super::wire::Weather;
use super::world::{FLOWS, Mischief, World};
use super::{Law, Tally, Violation};

/// Storms in a walk.
const STORMS: u32 = 5;
/// How long a rest is before the copies must be whole.
const REST: Duration = Duration::from_secs(25);
/// How soon what the wire alone has lost is told again. Two packets of a reading may be the last of it, and be
/// lost: when the first has been waited for, the second is for twice as long, half a second.
const SOON: Duration = Duration::from_millis(600);
/// Until now something that was lost may count as lost.
const SETTLED: Duration = Duration::from_secs(2);

/// What a walk has found.
#[derive(Debug)]
pub struct Outcome {
    /// What has happened.
    pub tally: Tally,
    /// How long it lasted in the world.
    pub lasted: Duration,
    /// What was broken.
    pub broken: Option<Violation>,
    /// What has happened, if that was asked for.
    pub journal: Vec<String>,
}

/// Walks through the world of a seed.
pub fn walk(seed: u64, defect: Option<Defect>, laws: &[Law], journal: bool) -> Outcome {
    let nodes = 2 + usize::from(seed % 2 == 1);
    let mut world = World::new(nodes, seed, defect, laws);
    world.journal = journal.then(Vec::new);
    for _ in 0..STORMS {
        if world.dice.chance(30) {
            rain(&mut world);
        } else {
            storm(&mut world);
        }
        rest(&mut world);
        if world.broken.is_some() {
            break;
        }
    }
    let lasted = world.lasted();
    let journal = world.journal.unwrap_or_default();
    Outcome { tally: world.tally, lasted, broken: world.broken, journal }
}

/// Packets that pass a node.
fn traffic(world: &mut World, at: usize) {
    for _ in 0..=world.dice.place(6) {
        let number = u32::try_from(world.dice.below(u64::from(FLOWS))).unwrap_or(0);
        match world.dice.below(10) {
            0 => world.close(at, number),
            1 => world.expire(at, number),
            _ => world.packet(at, number),
        }
    }
}

/// Packets pass for a while.
fn busy(world: &mut World, span: Duration) {
    let end = world.now + span;
    while world.now < end && world.broken.is_none() {
        traffic(world, world.server);
        let pause = 200 + world.dice.below(20_000);
        world.run(Duration::from_micros(pause));
    }
}

/// A wire that loses, doubles and delays. Receivers may be busy with what comes of readings.
fn bad_weather(world: &mut World, busy: bool) {
    let busy_us = if busy { [0, 1_000, 20_000, 100_000][world.dice.place(4)] } else { 0 };
    let weather = Weather {
        loss: world.dice.below(21),
        twice: world.dice.below(11),
        late_us: [50, 1_000, 5_000, 30_000][world.dice.place(4)],
        busy_us,
    };
    world.set_weather(weather);
}

/// A lossy wire and nothing else: what is lost is told again before tables are compared.
fn rain(world: &mut World) {
    bad_weather(world, false);
    busy(world, Duration::from_secs(2));
    world.set_weather(Weather::default());
    world.run(SOON);
    if let Some(what) = world.difference() {
        world.break_law(Law::CopiesEqual, format!("soon: {what}"));
    }
}

fn storm(world: &mut World) {
    bad_weather(world, true);
    if world.dice.chance(50) {
        world.mischief = Mischief { silent: world.dice.below(10), refused: world.dice.below(8) };
    }
    for _ in 0..=world.dice.place(5) {
        let span = Duration::from_millis(50 + world.dice.below(1_500));
        busy(world, span);
        fault(world);
    }
    let span = Duration::from_millis(world.dice.below(500));
    busy(world, span);
}

fn fault(world: &mut World) {
    let (server, nodes) = (world.server, world.hosts.len());
    let other = (server + 1 + world.dice.place(nodes - 1)) % nodes;
    let down = Duration::from_millis(50 + world.dice.below(3_000));
    match world.dice.below(9) {
        0 => cut(world, server, other),
        1 => {
            let kept = world.dice.chance(50);
            world.crash(other, kept);
            busy(world, down);
            world.boot(other);
        }
        2 => restart_server(world, down),
        3 | 4 => take_over(world, other, down),
        5 | 6 => hand_over(world, other),
        7 => {
            for _ in 0..3 {
                let number = u32::try_from(world.dice.below(u64::from(FLOWS))).unwrap_or(0);
                let delete = world.dice.chance(50);
                world.meddle(other, number, delete);
            }
        }
        _ => split(world, other, down),
    }
}

/// The wire between two nodes is cut, in one direction or both.
fn cut(world: &mut World, one: usize, other: usize) {
    world.tally.faults += 1;
    let ways = [vec![(one, other)], vec![(other, one)], vec![(one, other), (other, one)]];
    world.wire.cut = ways[world.dice.place(3)].clone();
    let cut = format!("cut {:?}", world.wire.cut);
    world.write(|| cut);
    let span = Duration::from_millis(50 + world.dice.below(6_000));
    busy(world, span);
    world.wire.cut.clear();
}

/// The process of the server ends and starts; its kernel goes on meanwhile.
fn restart_server(world: &mut World, down: Duration) {
    let server = world.server;
    world.crash(server, true);
    busy(world, down);
    world.boot(server);
    world.serve(server, true);
}

/// The server dies, and another one takes over; later the former one is back.
fn take_over(world: &mut World, heir: usize, down: Duration) {
    let former = world.server;
    let kept = world.dice.chance(50);
    world.crash(former, kept);
    let silence = Duration::from_millis(world.dice.below(300));
    world.run(silence);
    world.move_traffic(heir);
    world.serve(heir, true);
    busy(world, down);
    world.boot(former);
}

/// A planned handover. The former server may still think that it serves when the new one does.
fn hand_over(world: &mut World, heir: usize) {
    world.tally.faults += 1;
    let former = world.server;
    let early = world.dice.chance(50);
    let gap = Duration::from_millis(world.dice.below(100));
    if early {
        world.serve(former, false);
        world.run(gap);
    } else {
        world.say_serves(former, false);
    }
    world.move_traffic(heir);
    world.serve(heir, true);
    // Its kernel ends what was masqueraded with an address that has left.
    for _ in 0..world.dice.below(8) {
        let number = u32::try_from(world.dice.below(u64::from(FLOWS))).unwrap_or(0);
        world.forget_late(former, number);
    }
    if !early {
        busy(world, gap);
        world.serve(former, false);
    }
}

/// Two nodes see nothing of each other, and both serve; then one steps down.
fn split(world: &mut World, other: usize, span: Duration) {
    world.tally.faults += 1;
    let first = world.server;
    world.split = true;
    world.write(|| format!("nodes {first} and {other} do not see each other"));
    world.wire.cut = vec![(first, other), (other, first)];
    world.hosts[first].blind = vec![other];
    world.hosts[other].blind = vec![first];
    world.tell_sights();
    world.serve(other, true);
    let end = world.now + span;
    while world.now < end && world.broken.is_none() {
        traffic(world, first);
        traffic(world, other);
        world.run(Duration::from_millis(20));
    }
    world.wire.cut.clear();
    world.hosts.iter_mut().for_each(|host| host.blind.clear());
    world.tell_sights();
    world.run(Duration::from_millis(100));
    world.hosts[other].live.clear();
    world.serve(other, false);
}

/// All faults end; after a while copies must be whole.
fn rest(world: &mut World) {
    world.write(|| "rest".into());
    world.set_weather(Weather::default());
    world.mischief = Mischief::default();
    world.run(SETTLED);
    let before = world.lost();
    busy(world, Duration::from_millis(500));
    world.run(REST);
    if world.lost() != before {
        let what = format!("{} packets count as lost, none was", world.lost() - before);
        world.break_law(Law::LittleAgain, what);
    }
    if let Some(what) = world.difference() {
        world.break_law(Law::CopiesEqual, what);
    }
    if let Some(at) = world.not_whole() {
        world.break_law(Law::CopiesEqual, format!("node {at} does not say that it is whole"));
    }
    world.tally.rests += 1;
    world.forget_history();
}
