//! What can be done to a gateway or to a cable, and how it is healed.

use std::fmt;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::clock;
use crate::error::Result;
use crate::filter::{self, Loss};
use crate::lab::Lab;
use crate::node::Part;
use crate::topology::{Gateway, Segment, port};

/// A fault that the lab can inflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power of a gateway is cut: all its cables at once, then all its processes are gone.
    Power(Gateway),
    /// All cables of a gateway are silent at once; the machine goes on.
    Isolated(Gateway),
    /// One cable is silent; the carrier stays.
    Silent(Gateway, Segment),
    /// One cable is pulled: the carrier is lost.
    Carrier(Gateway, Segment),
    /// These parts of the daemon are killed at once.
    Killed(Gateway, Part),
    /// These parts of the daemon are frozen.
    Frozen(Gateway, Part),
    /// A switch loses some frames.
    Lost(Loss),
    /// What one gateway sends to another is lost, on one switch or on all.
    OneWay {
        /// Who is not heard.
        from: Gateway,
        /// Who does not hear.
        to: Gateway,
        /// Where; none for everywhere.
        on: Option<Segment>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power(gateway) => write!(f, "power of {gateway} cut"),
            Self::Isolated(gateway) => write!(f, "all cables of {gateway} silent"),
            Self::Silent(gateway, segment) => write!(f, "{segment} cable of {gateway} silent"),
            Self::Carrier(gateway, segment) => write!(f, "{segment} cable of {gateway} pulled"),
            Self::Killed(gateway, part) => write!(f, "{part} of {gateway} killed"),
            Self::Frozen(gateway, part) => write!(f, "{part} of {gateway} frozen"),
            Self::Lost(loss) => write!(f, "{} permille lost on {}", loss.permille, loss.segment),
            Self::OneWay { from, to, on: Some(segment) } => {
                write!(f, "{to} does not hear {from} on {segment}")
            }
            Self::OneWay { from, to, on: None } => write!(f, "{to} does not hear {from} anywhere"),
        }
    }
}

impl Lab {
    /// Inflicts a fault; gives the time just before it took effect.
    pub fn inflict(&mut self, fault: &Fault) -> Result<Instant> {
        let start = clock::now();
        match fault {
            Fault::Power(gateway) => {
                self.forward(*gateway, &Segment::ALL, false)?;
                self.destroy(*gateway)?;
            }
            Fault::Isolated(gateway) => self.forward(*gateway, &Segment::ALL, false)?,
            Fault::Silent(gateway, segment) => self.forward(*gateway, &[*segment], false)?,
            Fault::Carrier(gateway, segment) => self.plug(*gateway, *segment, false)?,
            Fault::Killed(gateway, part) => return self.signal(*gateway, *part, Signal::SIGKILL),
            Fault::Frozen(gateway, part) => return self.signal(*gateway, *part, Signal::SIGSTOP),
            Fault::Lost(_) | Fault::OneWay { .. } => {
                self.losses.extend(losses_of(fault));
                filter::apply(&self.topology.switch, &self.losses)?;
            }
        }
        Ok(start)
    }

    /// Undoes a fault. Killed processes come back by [`Lab::start`] or by themselves.
    pub fn heal(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Power(gateway) | Fault::Isolated(gateway) => {
                self.forward(*gateway, &Segment::ALL, true)
            }
            Fault::Silent(gateway, segment) => self.forward(*gateway, &[*segment], true),
            Fault::Carrier(gateway, segment) => self.plug(*gateway, *segment, true),
            Fault::Killed(..) => Ok(()),
            Fault::Frozen(gateway, part) => self.signal(*gateway, *part, Signal::SIGCONT).map(drop),
            Fault::Lost(_) | Fault::OneWay { .. } => {
                let healed = losses_of(fault);
                self.losses.retain(|loss| !healed.contains(loss));
                filter::apply(&self.topology.switch, &self.losses)
            }
        }
    }

    /// Lets ports of the switches forward or not, in one batch; the carrier stays.
    fn forward(&self, gateway: Gateway, segments: &[Segment], on: bool) -> Result<()> {
        let state = if on { "forwarding" } else { "disabled" };
        let line = |s: &Segment| format!("link set dev {} state {state}\n", port(gateway, *s));
        let lines: String = segments.iter().map(line).collect();
        let switch = self.topology.switch.name();
        crate::shell::run_with("bridge", &["-n", switch, "-batch", "-"], &lines).map(drop)
    }

    fn plug(&self, gateway: Gateway, segment: Segment, on: bool) -> Result<()> {
        let way = if on { "up" } else { "down" };
        self.topology.switch.ip_batch(&format!("link set {} {way}\n", port(gateway, segment)))
    }
}

fn losses_of(fault: &Fault) -> Vec<Loss> {
    match fault {
        Fault::Lost(loss) => vec![loss.clone()],
        Fault::OneWay { from, to, on } => {
            let segments = on.map_or(Segment::ALL.to_vec(), |segment| vec![segment]);
            let cut = |s| Loss { from: Some(*from), to: Some(*to), ..Loss::all(s) };
            segments.into_iter().map(cut).collect()
        }
        _ => Vec::new(),
    }
}
