//! Any bytes as a datagram of rtnetlink: no panic; whatever is in it can be asked for.

use evergate_daemon::kernel::rtnetlink::Record;
use evergate_daemon::kernel::rtnetlink::parse::{Attributes, Messages};

/// One execution; whether a record that Evergate speaks of was in it.
pub fn run(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for message in Messages::new(bytes).flatten() {
        let _ = (message.is_interrupted(), message.verdict());
        let record = message.record();
        if let Ok(Record::Address(address) | Record::AddressGone(address)) = &record {
            let _ = (address.is_ours(), address.is_usable(), address.is_secondary());
        }
        accepted |= record.is_ok_and(|record| record != Record::Other);
        let longest = message.payload.len() / 4;
        assert!(
            Attributes::new(message.payload).count() <= longest,
            "no attribute is shorter than its header"
        );
    }
    accepted
}
