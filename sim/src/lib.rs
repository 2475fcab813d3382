//! All worlds: virtual time, a faulty wire, fake kernels, and laws that must hold in every one.
//!
//! ```text
//!    Setup ──► World { hosts: core + guardian + kernel, wire, laws }
//!                 │ choices()        ▲ apply(choice)
//!                 ▼                  │
//!     walk::random · walk::exhaustive · walk::replay
//! ```
//!
//! The machines in it are those of the product, the very same code. Nothing here is shipped.
#![forbid(unsafe_code)]

pub mod choice;
pub mod dice;
pub mod laws;
pub mod mixer;
pub mod planted;
pub mod replication;
pub mod report;
pub mod setup;
pub mod threads;
pub mod walk;
pub mod world;
