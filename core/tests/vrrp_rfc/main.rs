//! The state machine of VRRP as the standard has it (RFC 9568 §6.4, RFC 3768 §6.4): one router of ours
//! among routers of other makes, every event in every state, to the nanosecond. `spec/` says which
//! requirement each test is for.

mod active;
mod backup;
mod conduct;
mod initialize;
mod owner;
mod router;
