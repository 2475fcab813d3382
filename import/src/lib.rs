//! Files of other programs, read for what they say and written as ours.
//!
//! Pure: text in, text and a report out. [`report`] says what became of each statement.

pub mod conntrackd;
pub mod report;

pub use report::{Fate, Finding, Imported, KeyFile, Unreadable};
