//! By chance: bursts of faults, each followed by quiet in which the laws must hold.

use std::time::Duration;

use super::replay::Trace;
use crate::choice::{Choice, Fault, Frozen};
use crate::dice::Dice;
use crate::laws::{Laws, Violation};
use crate::setup::Setup;
use crate::world::{Tally, World};

/// How many bursts of faults a world goes through.
pub const ROUNDS: usize = 24;
/// The most faults in one burst.
pub const BURST_MAX: u64 = 24;
/// The longest quiet between bursts.
pub const QUIET_MAX_MS: u64 = 10_000;
/// How long things take that do not last: pauses, delays, slow calls.
const SPANS_MS: [u64; 10] = [1, 5, 15, 25, 40, 112, 500, 1_500, 3_500, 6_000];

/// What came of one walk.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was counted.
    pub tally: Tally,
    /// How long the world has lasted.
    pub lasted: Duration,
    /// The law that was broken, and how.
    pub broken: Option<(Violation, Trace)>,
}

/// Goes through one world by chance; the same setup and seed give the same walk.
pub fn walk(setup: &Setup, laws: Laws) -> Outcome {
    let mut walker = Walker {
        world: World::new(setup.clone(), laws),
        dice: Dice::new(setup.seed ^ 0x5eed),
        taken: Vec::new(),
    };
    let began = walker.world.now;
    let broken = walker.rounds().err();
    let lasted = walker.world.now.since(began);
    let trace = |violation: &Violation| Trace {
        about: violation.to_string(),
        setup: setup.clone(),
        choices: walker.taken.clone(),
    };
    let broken = broken.map(|violation| {
        let trace = trace(&violation);
        (violation, trace)
    });
    Outcome { tally: walker.world.tally, lasted, broken }
}

struct Walker {
    world: World,
    dice: Dice,
    taken: Vec<Choice>,
}

/// Whom the faults of a burst may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    Anybody,
    NotHolders,
}

impl Walker {
    fn rounds(&mut self) -> Result<(), Violation> {
        let begin = 3_000 + self.dice.below(3_000);
        self.wait(Duration::from_millis(begin))?;
        for _ in 0..ROUNDS {
            let aim = if self.dice.chance(25) { Aim::NotHolders } else { Aim::Anybody };
            for _ in 0..=self.dice.below(BURST_MAX) {
                self.gap()?;
                let fault = self.draw(aim);
                self.take(Choice::Fault(fault))?;
            }
            if self.dice.chance(60) {
                self.gap()?;
                self.take(Choice::Fault(Fault::Heal))?;
            }
            let quiet = self.dice.below(QUIET_MAX_MS);
            self.wait(Duration::from_millis(quiet))?;
        }
        Ok(())
    }

    fn take(&mut self, choice: Choice) -> Result<(), Violation> {
        self.taken.push(choice);
        self.world.apply(choice)
    }

    fn wait(&mut self, span: Duration) -> Result<(), Violation> {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.take(Choice::Run { micros })
    }

    /// The time between two faults: none, a moment, or long enough for consequences.
    fn gap(&mut self) -> Result<(), Violation> {
        let micros = match self.dice.below(10) {
            0..=2 => return Ok(()),
            3..=5 => self.dice.below(1_000),
            6..=8 => self.dice.below(60_000),
            _ => self.dice.below(1_500_000),
        };
        self.take(Choice::Run { micros })
    }

    fn draw(&mut self, aim: Aim) -> Fault {
        let node = self.node(aim);
        let segment = self.dice.place(self.world.setup.segments.len());
        let group = self.dice.place(self.world.setup.groups.len());
        let micros = SPANS_MS[self.dice.place(SPANS_MS.len())] * 1_000;
        let kinds = if aim == Aim::NotHolders { 60 } else { 100 };
        match self.dice.below(kinds) {
            0..=9 => {
                let (sends, hears) = [(false, false), (false, true), (true, false), (true, true)]
                    [self.dice.place(4)];
                Fault::Cable { node, segment, sends, hears }
            }
            10..=19 => Fault::Carrier { node, segment, up: self.dice.chance(60) },
            20..=24 => Fault::KillCore { node },
            25..=28 => Fault::KillGuardian { node },
            29..=31 => Fault::KillBoth { node },
            32..=34 => Fault::PowerCut { node },
            35..=40 => Fault::PowerOn { node },
            41..=48 => {
                let frozen = [Frozen::Core, Frozen::Processes, Frozen::Machine][self.dice.place(3)];
                Fault::Pause { node, frozen, micros }
            }
            49..=51 => Fault::SlowKernel { node, micros },
            52..=53 => Fault::FailKernel { node, calls: 1 + u8::from(self.dice.chance(30)) },
            54..=57 => Fault::Replay { node, record: self.dice.place(self.world.records.len()) },
            58..=59 => Fault::Shutdown { node },
            _ => self.draw_shared(node, segment, group, micros),
        }
    }

    /// Faults that may touch everybody.
    fn draw_shared(&mut self, node: usize, segment: usize, group: usize, micros: u64) -> Fault {
        let other = self.node(Aim::Anybody);
        match self.dice.below(40) {
            0..=9 if node != other => {
                let blocked = self.dice.chance(60);
                Fault::Block { segment, from: node, to: other, blocked }
            }
            0..=11 => Fault::FilterAdverts { segment, filtered: self.dice.chance(50) },
            12..=13 => Fault::Neighbour { segment, present: self.dice.chance(60) },
            14..=16 => Fault::DeleteAddress { node, group },
            17..=18 => Fault::Switchover { node, group, to: other },
            19 => Fault::Failback { node, group },
            20 => Fault::Lock { node, group, locked: self.dice.chance(50) },
            21..=24 => {
                let percent = [5, 20, 50, 90][self.dice.place(4)];
                Fault::Lossy { segment, percent, micros }
            }
            25..=35 if self.world.setup.checks() > 0 => {
                let check = self.dice.place(self.world.setup.checks());
                Fault::Check { node, check, passes: self.dice.chance(50) }
            }
            _ => self.draw_packet(micros),
        }
    }

    /// Faults of one packet, once one is under way.
    fn draw_packet(&mut self, micros: u64) -> Fault {
        let flows = self.world.wire.count();
        let begin = self.dice.place(flows);
        let busy =
            (0..flows).map(|at| (begin + at) % flows).find(|at| self.world.wire.len(*at) > 0);
        let flow = busy.unwrap_or(begin);
        match self.dice.below(4) {
            0 => Fault::Lose { flow },
            1 => Fault::Duplicate { flow },
            2 => Fault::Overtake { flow },
            _ => Fault::Delay { flow, micros },
        }
    }

    fn node(&mut self, aim: Aim) -> usize {
        let nodes = self.world.hosts.len();
        let begin = self.dice.place(nodes);
        if aim == Aim::Anybody {
            return begin;
        }
        let idle = |node: &usize| {
            (0..self.world.setup.groups.len()).all(|group| !self.world.hosts[*node].holds(group))
        };
        (0..nodes).map(|at| (begin + at) % nodes).find(idle).unwrap_or(begin)
    }
}
