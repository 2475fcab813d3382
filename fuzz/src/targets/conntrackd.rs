//! Any bytes as a datagram of conntrackd: no panic; a flow that was read and that can be told is
//! written and read again as it was.

use evergate_core::wire::conntrackd::{Body, Messages, decode, decode_key, encode, encode_key};

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for message in Messages::new(bytes).flatten() {
        let Ok(Body::Flow(_, attributes)) = message.body else { continue };
        let Ok(flow) = decode(attributes) else { continue };
        accepted = true;
        assert_eq!(decode_key(attributes), Ok(flow.key));
        let mut again = Vec::new();
        if encode(&flow, &mut again) {
            assert_eq!(decode(&again), Ok(flow.clone()));
        }
        let mut key = Vec::new();
        if encode_key(&flow.key, &mut key) {
            assert_eq!(decode_key(&key), Ok(flow.key));
        }
    }
    accepted
}
