//! Any bytes as a line on the control socket, from either end: no panic; what was read is written and read again as it was.

use evergate_api::control::{Reply, Request};

/// One execution; whether it is a request or a reply.
pub fn run(bytes: &[u8]) -> bool {
    let (request, reply) = (Request::from_line(bytes), Reply::from_line(bytes));
    if let Ok(request) = &request {
        let again = Request::from_line(request.to_line().as_bytes());
        assert_eq!(again.as_ref(), Ok(request));
    }
    if let Ok(reply) = &reply {
        let again = Reply::from_line(reply.to_line().as_bytes());
        assert_eq!(again.as_ref(), Ok(reply));
    }
    request.is_ok() || reply.is_ok()
}
