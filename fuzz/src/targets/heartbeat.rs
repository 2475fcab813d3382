//! Any bytes: no panic; a heartbeat that was read is written and read again as it was.

use evergate_core::wire::header::{Header, LEN};
use evergate_core::wire::heartbeat::{About, decode, encode};
use evergate_core::wire::names::Names;

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    if let Ok((header, body)) = Header::decode(bytes) {
        assert_eq!(header.encode()[20..], bytes[20..LEN]);
        assert_eq!(body, &bytes[LEN..]);
    }
    let _ = About::decode(bytes);
    let names = Names::new(
        ["gw1", "gw2"].into_iter(),
        ["gateway"].into_iter(),
        ["link:sync", "router:gateway/lan"].into_iter(),
    );
    let names = names.expect("these names do not collide");
    let Ok(heartbeat) = decode(bytes, &names) else { return false };
    let mut again = Vec::new();
    encode(&heartbeat, &names, &mut again);
    assert_eq!(decode(&again, &names), Ok(heartbeat));
    true
}
