//! The tests of a running nginx, one subject a file. One crate, so that what they share is built once.

#[path = "../common/mod.rs"]
mod common;

mod api;
mod buffers;
mod configurations;
mod harness;
mod limit;
mod room;
mod sendfile;
mod tool;
