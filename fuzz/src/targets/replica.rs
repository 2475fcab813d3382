//! Any bytes as the body of a datagram that replicates connections: no panic; each value that was
//! read is written and read again as it was.

use evergate_core::wire::names::Names;
use evergate_core::wire::replica::{Body, begin, write};

/// One execution; whether a decoder took the bytes.
pub fn run(bytes: &[u8]) -> bool {
    let names = Names::new(["gw1", "gw2", "gw3"].into_iter(), [].into_iter(), [].into_iter());
    let names = names.expect("these names do not collide");
    let Ok(body) = Body::read(bytes) else { return false };
    let mut again = Vec::new();
    begin(body.number, body.oldest, &mut again);
    let items: Vec<_> = body.items(&names).map_while(Result::ok).collect();
    items.iter().for_each(|item| write(item, &names, &mut again));
    let read = Body::read(&again).expect("what was written can be read");
    assert_eq!((read.number, read.oldest), (body.number, body.oldest));
    let read: Vec<_> = read.items(&names).collect::<Result<_, _>>().expect("likewise");
    assert_eq!(read, items);
    true
}
