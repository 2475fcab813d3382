//! Any bytes as a replicated connection and as the name of one: no panic; what was read is written
//! and read again as it was.
#![no_main]

use evergate_core::flow::HashKey;
use evergate_core::wire::flow::{decode, decode_key, encode, encode_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut again = Vec::new();
    if let Ok(flow) = decode(bytes) {
        assert!(encode(&flow, &mut again), "what was read can be written");
        assert_eq!(decode(&again), Ok(flow.clone()));
        let key = HashKey([1, 2]);
        let _ = (key.name(&flow.key), key.value(&flow));
    }
    again.clear();
    if let Ok(key) = decode_key(bytes) {
        assert!(encode_key(&key, &mut again), "what was read can be written");
        assert_eq!(decode_key(&again), Ok(key));
    }
});
