//! What people see: plain functions from an answer to a text.

pub mod action;
pub mod age;
pub mod check;
pub mod events;
pub mod failure;
pub mod flows;
mod group;
mod number;
mod page;
mod peers;
pub mod router;
pub mod status;
pub mod why;

#[cfg(test)]
mod golden;
