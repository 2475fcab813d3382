//! evergate-lab.
fn main() {}
