//! The waiting room: who is over a limit that names it waits there for his turn.

mod answer;
pub mod conf;
pub mod directives;
pub mod filter;
pub mod handler;
pub mod notes;
pub mod secret;
pub mod session;
pub mod sweep;
mod visitor;
pub mod zone;
