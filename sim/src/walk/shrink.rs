//! Makes a trace short: entries are left out as long as the same law is still broken.

use super::replay::Trace;
use crate::choice::Choice;
use crate::laws::{Law, Laws};

/// How many shortened traces are tried at most.
pub const TRIES_MAX: usize = 2_000;

/// The shortest trace that was found to break the same law.
pub fn shrink(trace: &Trace, law: Law) -> Trace {
    let mut best = trace.clone();
    let mut tries = 0;
    let mut chunk = best.choices.len().div_ceil(2);
    while chunk > 0 && tries < TRIES_MAX {
        let before = best.choices.len();
        let mut start = 0;
        while start < best.choices.len() && tries < TRIES_MAX {
            tries += 1;
            let end = (start + chunk).min(best.choices.len());
            let mut shorter = best.clone();
            shorter.choices.drain(start..end);
            if breaks(&shorter, law) {
                best = shorter;
            } else {
                start = end;
            }
        }
        let stuck = best.choices.len() == before;
        // A pass that has left nothing out makes way for a finer one.
        if stuck {
            chunk /= 2;
        }
    }
    round_waits(&mut best, law);
    best
}

/// Makes odd waits shorter, where that changes nothing.
fn round_waits(trace: &mut Trace, law: Law) {
    for at in 0..trace.choices.len() {
        let Choice::Run { micros } = trace.choices[at] else { continue };
        for shorter in [0, 1_000, 100_000, 1_000_000, micros / 2] {
            if shorter < micros {
                let mut other = trace.clone();
                other.choices[at] = Choice::Run { micros: shorter };
                if breaks(&other, law) {
                    *trace = other;
                    break;
                }
            }
        }
    }
}

fn breaks(trace: &Trace, law: Law) -> bool {
    trace.follow(Laws::only(law)).is_err()
}
