//! The pure core: no nginx type, no I/O, no clock (now is an argument), no `unsafe`.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::arithmetic_side_effects)]
