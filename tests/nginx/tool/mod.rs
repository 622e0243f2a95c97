//! The operator's tool.

mod commands;
mod status;
