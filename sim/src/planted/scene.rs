//! The shortest story in which each planted defect shows.

use super::Defect;
use crate::choice::{Choice, Fault};
use crate::setup::Setup;
use crate::walk::replay::Trace;
use crate::world::RECORDS_MAX;

/// How long a world needs before it counts as settled.
const SETTLED: Choice = Choice::Run { micros: 6_000_000 };
/// How long consequences may take to show.
const PATIENCE: Choice = Choice::Run { micros: 12_000_000 };

impl Defect {
    /// A story in which the defect breaks its law. Two nodes, two groups with opposite preference,
    /// as in the flapping test of requirements 4.3.
    pub fn scene(self) -> Trace {
        let lan_lost = Fault::Carrier { node: 0, segment: 1, up: false };
        let mut choices = vec![SETTLED];
        match self {
            Defect::KeepsAddresses | Defect::HidesFault | Defect::ForgetsFault => {
                choices.push(Choice::Fault(lan_lost));
            }
            Defect::ForgetsKernel => {}
            Defect::IgnoresRivals => {
                for segment in 0..3 {
                    for (from, to) in [(0, 1), (1, 0)] {
                        let cut = Fault::Block { segment, from, to, blocked: true };
                        choices.push(Choice::Fault(cut));
                    }
                }
                choices.extend([SETTLED, Choice::Fault(Fault::Heal)]);
            }
            Defect::LeavesWithPeer => choices.push(Choice::Fault(Fault::PowerCut { node: 1 })),
            Defect::ClaimsInDoubt => {
                let cable = Fault::Cable { node: 1, segment: 0, sends: false, hears: false };
                choices.push(Choice::Fault(cable));
            }
            Defect::AcceptsReplay => {
                let replay = |record| Choice::Fault(Fault::Replay { node: 1, record });
                choices.extend((0..RECORDS_MAX).map(replay));
            }
        }
        choices.push(PATIENCE);
        let setup = Setup { defect: Some(self), ..Setup::opposite_groups(0) };
        Trace { about: format!("{self:?}"), setup, choices }
    }
}
