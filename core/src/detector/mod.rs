//! Is that node alive? One [`Peer`] for each peer of our own make.
//!
//! ```text
//!  heartbeats ─► Session ─► PathView (one per path) ─► View: alive │ doubt │ dead
//!               (fresh?)    (both directions?)              ▲
//!                                     third node's word ────┘
//! ```
//!
//! A path lives only if both directions do. Silence on all full-rate paths for the dead time is
//! death; silence on some is doubt; a peer that a third node hears is in doubt, not dead.
mod pace;
mod peer;
mod session;

pub use pace::{DEAD_MAX, DEAD_MIN, HEARTBEATS_MISSED, LATENESS_WINDOW, Lateness, dead_time};
pub use peer::{PathView, Peer, overdue_after};
pub use session::{REPLAY_WINDOW, Session};
