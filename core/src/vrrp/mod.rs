//! The parts of VRRP that do not depend on groups: its two timing formulas, and what one virtual
//! router remembers of the adverts it has heard. The election itself is [`crate::group`].
mod speaker;
mod timing;

pub use speaker::{Heard, Speaker};
pub use timing::{ADVERTS_MISSED, master_down, skew};
