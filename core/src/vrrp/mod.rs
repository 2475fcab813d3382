//! The parts of VRRP that do not depend on groups: its two timing formulas, what one virtual router
//! remembers of the adverts it has heard, and who may speak for it. The election itself is
//! [`crate::group`].
pub mod guard;
mod sequence;
mod speaker;
mod stamps;
mod timing;

pub use speaker::{Heard, Speaker};
pub use timing::{ADVERTS_MISSED, master_down, skew};
