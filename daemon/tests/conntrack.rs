//! The table of connections, against the real kernel: what is put reads back as it was, what the
//! kernel refuses is mended, and its news come as they should.
#![allow(clippy::unwrap_used)]

#[path = "conntrack/expect.rs"]
mod expect;
#[path = "conntrack/flows.rs"]
mod flows;
#[path = "conntrack/mend.rs"]
mod mend;
mod namespace;
#[path = "conntrack/news.rs"]
mod news;
#[path = "conntrack/parts.rs"]
mod parts;
#[path = "conntrack/put.rs"]
mod put;
#[path = "conntrack/tool.rs"]
mod tool;
