//! The kernel's table of connections: what it tells of them, and how it is told.
//!
//! ```text
//!   listener ─┐                           ┌─ injector ──► the table
//!   dump ─────┼─► decode ─► Message  Flow ─┴─ encode
//!   look ─────┘
//! ```
//!
//! [`decode`] is total: any bytes give messages or an error. [`encode`] writes what the kernel takes
//! of a flow, in the one form that makes it go on with the connection. Only [`injector`] changes
//! anything; it says which port it does so from, and [`listener`] leaves out what came from there.

mod attributes;
pub mod decode;
pub mod dump;
pub mod encode;
pub mod filter;
mod here;
pub mod injector;
pub mod listener;
pub mod table;
