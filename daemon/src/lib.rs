//! evergated: the only part of Evergate that touches the world.
//!
//! ```text
//!   guardian ── starts and watches ──► core      decides, and touches the kernel
//!      ▲   └─── starts and watches ──► runner    makes checks, starts users' programs
//!      └────────── watches ───────────────┘
//! ```
//!
//! All three are this program, told apart by a hidden first argument ([`guardian::Role`]). They share
//! one piece of memory, the [`estate`]. The core's thread `node` is [`drive`]; the thread `kernel`
//! is [`kernel_thread`]; what may wait for files is [`cold`]; requests come by [`control`];
//! what the runner looks at is in [`checks`], what it runs for groups in [`procedures`].
#![deny(unsafe_code)]

pub mod arguments;
pub mod checks;
pub mod cold;
pub mod control;
pub mod core_process;
pub mod drive;
pub mod estate;
pub mod facts;
pub mod guardian;
pub mod kernel;
pub mod kernel_thread;
pub mod layout;
pub mod lock;
pub mod notify;
pub mod observe;
pub mod privilege;
pub mod procedures;
pub mod replicate;
pub mod runner;
pub mod say;
pub mod seal;
pub mod secrets;
pub mod status;
pub mod sys;
pub mod wall_clock;
pub mod why;
pub mod words;

#[cfg(test)]
mod fixture;
