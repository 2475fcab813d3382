//! The contract of Evergate: what people write, ask and read. Plain data, no decisions.
//!
//! Read it in this order:
//!
//! * [`config`]: the configuration file, its errors in words, its JSON Schema, the plan of a
//!   reload;
//! * [`control`]: the requests and replies on the control socket, and the events;
//! * [`status`]: the truth about a node, as `evergate status --json` prints it;
//! * [`router`]: one virtual router, as `evergate status router ID --json` prints it.
//!
//! The crate knows nothing of the other crates. It reads files where it is told to
//! ([`config::load`], [`config::secret::load_keys`]) and touches nothing else.
//!
//! ```
//! use evergate_api::config::{Sources, parse};
//!
//! let outcome = parse(Sources::from_text("edge.toml", "[cluster]\nnmae = \"edge\"\n"));
//! assert!(outcome.config.is_none());
//! assert!(outcome.report.render(false).contains("did you mean `name`?"));
//! ```

mod open;

pub mod config;
pub mod control;
pub mod router;
pub mod status;
