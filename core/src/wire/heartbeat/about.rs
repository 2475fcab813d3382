//! What a node says of its own software. It stands beside the heartbeat proper, because no
//! decision follows from it.

use super::{ABOUT, Bytes, tlv};

/// The longest software version in bytes.
pub const ABOUT_VERSION_MAX: usize = 32;
/// A capability: it replicates connections.
pub const REPLICATES: u32 = 1 << 0;

/// The software of a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct About {
    /// What it does beyond the first version of this protocol, one bit each: [`REPLICATES`].
    pub capabilities: u32,
    /// Its version as text, at most [`ABOUT_VERSION_MAX`] bytes.
    pub version: String,
}

impl About {
    /// Appends this to the body of a heartbeat.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let end = self.version.floor_char_boundary(ABOUT_VERSION_MAX);
        tlv::write(out, ABOUT, |out| {
            out.extend(self.capabilities.to_be_bytes());
            out.extend(&self.version.as_bytes()[..end]);
        });
    }

    /// Finds it in the body of a heartbeat; `None` when it is not there or cannot be read.
    /// Characters that a terminal would act on are left out of the version.
    pub fn decode(body: &[u8]) -> Option<About> {
        let mut list = tlv::Reader::new(body).map_while(Result::ok);
        let mut rest = Bytes(list.find(|tlv| tlv.kind == ABOUT)?.value);
        let capabilities = rest.u32()?;
        let version = std::str::from_utf8(rest.0).ok()?;
        if version.len() > ABOUT_VERSION_MAX {
            return None;
        }
        let version = version.chars().filter(|c| !c.is_control()).collect();
        Some(About { capabilities, version })
    }
}
