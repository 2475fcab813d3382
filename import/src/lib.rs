//! Files of other programs, read for what they say and written as ours.
//!
//! Pure: text in, text and a report out. Where a file includes others, the caller gives them
//! ([`keepalived::Files`]). [`keepalived`], [`conntrackd`] and [`ucarp`] each read one program's
//! words; [`report`] says what became of them.

pub mod conntrackd;
pub mod keepalived;
pub mod report;
pub mod ucarp;

mod command;
mod ledger;
mod names;
mod toml;

pub use report::{Fate, Finding, Imported, KeyFile, Unreadable};
