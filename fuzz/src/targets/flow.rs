//! Any bytes as a replicated connection and as the name of one: no panic; what was read is written
//! and read again as it was.

use evergate_core::flow::HashKey;
use evergate_core::wire::flow::{decode, decode_key, encode, encode_key};

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let (flow, key) = (decode(bytes), decode_key(bytes));
    let accepted = flow.is_ok() || key.is_ok();
    let mut again = Vec::new();
    if let Ok(flow) = flow {
        assert!(encode(&flow, &mut again), "what was read can be written");
        assert_eq!(decode(&again), Ok(flow.clone()));
        let key = HashKey([1, 2]);
        let _ = (key.name(&flow.key), key.value(&flow));
    }
    again.clear();
    if let Ok(key) = key {
        assert!(encode_key(&key, &mut again), "what was read can be written");
        assert_eq!(decode_key(&again), Ok(key));
    }
    accepted
}
