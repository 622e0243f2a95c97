//! The waiting room: who is over a limit that names it waits there for his turn.

pub mod conf;
pub mod directives;
pub mod filter;
pub mod secret;
pub mod zone;
