//! The operator's tool.

mod asking;
mod commands;
mod status;
