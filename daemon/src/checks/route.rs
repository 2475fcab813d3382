//! Whether the main routing table has a route.

use std::net::IpAddr;

use super::{Seen, fail, pass};
use crate::kernel::requests::Kernel;

pub(super) fn look(network: IpAddr, prefix: u8) -> Seen {
    let listed = Kernel::open().and_then(|mut kernel| kernel.routes_to(network, prefix));
    match listed {
        Err(error) => fail(format!("the routes cannot be listed: {error}")),
        Ok(routes) if routes.is_empty() => fail("there is no such route"),
        Ok(routes) if routes.iter().all(|route| route.is_down) => {
            fail("its interface is down or has no carrier")
        }
        Ok(_) => pass("it is there"),
    }
}
