//! The neighbours that answer on the segments of the sender. A standby talks to nobody, so it would
//! not know whom to ask when it tests its own cable; the active node tells it.

use std::net::IpAddr;

use super::{Bytes, NEIGHBOURS, Names, tlv};
use crate::ident::PathId;

/// The most neighbours in one heartbeat.
pub const NEIGHBOURS_MAX: usize = 16;

/// Somebody who has answered on the segment of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Neighbour {
    /// The path.
    pub path: PathId,
    /// The address that answered.
    pub address: IpAddr,
}

impl Neighbour {
    /// Appends a list to the body of a heartbeat; those beyond [`NEIGHBOURS_MAX`] are left out.
    pub fn encode(list: &[Neighbour], names: &Names, out: &mut Vec<u8>) {
        tlv::write(out, NEIGHBOURS, |out| {
            for neighbour in list.iter().take(NEIGHBOURS_MAX) {
                let Some(path) = names.path_hash(neighbour.path) else { continue };
                let address = match neighbour.address {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                out.extend(path.to_be_bytes());
                out.extend(address.octets());
            }
        });
    }

    /// Finds the list in the body of a heartbeat; empty when it is not there.
    pub fn decode(body: &[u8], names: &Names) -> Vec<Neighbour> {
        let mut found = Vec::new();
        let mut list = tlv::Reader::new(body).map_while(Result::ok);
        let Some(list) = list.find(|tlv| tlv.kind == NEIGHBOURS) else { return found };
        let mut rest = Bytes(list.value);
        while found.len() < NEIGHBOURS_MAX
            && let (Some(path), Some(address)) = (rest.u32(), rest.array::<16>())
        {
            let address = std::net::Ipv6Addr::from(address);
            let address = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
            found.extend(names.path(path).map(|path| Neighbour { path, address }));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_strangers_are_left_out() {
        let names = |path: &str| {
            Names::new(["a"].into_iter(), ["g"].into_iter(), [path].into_iter()).unwrap()
        };
        let list = ["192.0.2.9", "fe80::9"]
            .map(|text| Neighbour { path: PathId(0), address: text.parse().unwrap() });
        let mut body = Vec::new();
        Neighbour::encode(&list, &names("router:g/lan"), &mut body);
        assert_eq!(Neighbour::decode(&body, &names("router:g/lan")), list);
        assert_eq!(Neighbour::decode(&body, &names("router:g/wan")), []);
        assert_eq!(Neighbour::decode(&body[..body.len() - 1], &names("router:g/lan")), []);
    }
}
