//! evergated: the only part of Evergate that touches the world.
#![deny(unsafe_code)]

pub mod kernel;
pub mod sys;
