//! The text on a link of ours: whose it is, and what the interface below was set to before.

use std::fmt;
use std::io;

use super::is_made_by_us;
use crate::kernel::rtnetlink::LinkRecord;
use crate::kernel::settings::{self, Of};

/// The first word of the text.
const WORD: &str = "evergate";

/// What the text says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// The control socket of the daemon that has made the link: no other daemon has it.
    pub owner: String,
    /// The settings of the interface below from before, if the link needs others.
    pub former: Option<Former>,
}

/// The settings of an interface that decide who answers for an address that is on a link above it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Former {
    /// 0: it answers ARP for every address of this machine, so also for those above.
    pub arp_ignore: u32,
    /// Below 2: it asks for neighbours in the name of addresses above, with its own MAC address.
    pub arp_announce: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}")?;
        if let Some(Former { arp_ignore, arp_announce }) = self.former {
            write!(f, " arp_ignore={arp_ignore} arp_announce={arp_announce}")?;
        }
        write!(f, " {}", self.owner)
    }
}

impl Mark {
    /// The mark on a link, if any daemon of ours has made it.
    pub fn on(link: &LinkRecord) -> Option<Mark> {
        let alias = link.stacked.as_ref()?.alias.as_deref()?;
        if is_made_by_us(link) { Mark::read(alias) } else { None }
    }

    fn read(text: &str) -> Option<Mark> {
        let rest = text.strip_prefix(WORD)?.strip_prefix(' ')?;
        let Some(numbers) = rest.strip_prefix("arp_ignore=") else {
            return Some(Mark { owner: rest.to_owned(), former: None });
        };
        let (arp_ignore, rest) = numbers.split_once(" arp_announce=")?;
        let (arp_announce, owner) = rest.split_once(' ')?;
        let former = Former {
            arp_ignore: arp_ignore.parse().ok()?,
            arp_announce: arp_announce.parse().ok()?,
        };
        Some(Mark { owner: owner.to_owned(), former: Some(former) })
    }
}

impl Former {
    /// What an interface is set to now.
    pub fn of(interface: &str) -> Former {
        let now = |setting| settings::read(Of::V4, interface, setting).unwrap_or(0);
        Former { arp_ignore: now("arp_ignore"), arp_announce: now("arp_announce") }
    }

    /// What it has to be while a link of ours stands on it: nothing is made less strict.
    pub fn needed(self) -> Former {
        Former {
            // 3 answers for addresses of other interfaces too.
            arp_ignore: if matches!(self.arp_ignore, 0 | 3) { 1 } else { self.arp_ignore },
            arp_announce: self.arp_announce.max(2),
        }
    }

    /// What an interface is to be in the end: as it was, except for what somebody else has set meanwhile.
    pub fn restored(self, now: Former) -> Former {
        let needed = self.needed();
        let back = |now, needed, former| if now == needed { former } else { now };
        Former {
            arp_ignore: back(now.arp_ignore, needed.arp_ignore, self.arp_ignore),
            arp_announce: back(now.arp_announce, needed.arp_announce, self.arp_announce),
        }
    }

    /// Sets an interface to this.
    pub fn write(self, interface: &str) -> io::Result<()> {
        settings::write(Of::V4, interface, "arp_ignore", self.arp_ignore)?;
        settings::write(Of::V4, interface, "arp_announce", self.arp_announce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_we_write_is_the_mark_that_is_read() {
        let owner = "/run/with space/evergate.sock".to_owned();
        for former in [None, Some(Former { arp_ignore: 8, arp_announce: 0 })] {
            let mark = Mark { owner: owner.clone(), former };
            assert_eq!(Mark::read(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn a_text_of_somebody_else_is_no_mark() {
        for text in ["", "evergate", "evergates x", "uplink", "evergate arp_ignore=x y"] {
            assert_eq!(Mark::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_set_is_never_less_strict_than_what_was() {
        let needed = |arp_ignore, arp_announce| Former { arp_ignore, arp_announce }.needed();
        assert_eq!(needed(0, 0), Former { arp_ignore: 1, arp_announce: 2 });
        assert_eq!(needed(3, 1), Former { arp_ignore: 1, arp_announce: 2 });
        assert_eq!(needed(2, 2), Former { arp_ignore: 2, arp_announce: 2 });
        assert_eq!(needed(8, 2).arp_ignore, 8);
    }

    #[test]
    fn in_the_end_all_is_as_it_was_but_what_somebody_else_has_set_stays() {
        let former = Former { arp_ignore: 0, arp_announce: 1 };
        assert_eq!(former.restored(former.needed()), former);
        let now = Former { arp_ignore: 2, arp_announce: 2 };
        assert_eq!(former.restored(now), Former { arp_ignore: 2, arp_announce: 1 });
    }
}
