//! Three ways through a world: by chance, through everything, and along a saved trace.
mod budgets;
mod canonical;
pub mod exhaustive;
pub mod random;
pub mod replay;
pub mod shrink;

pub use budgets::Budgets;
