//! The pure core: no nginx type, no I/O, no clock (now is an argument), no `unsafe`.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod address;
pub mod advice;
pub mod api;
pub mod bucket;
pub mod cookie;
pub mod decimal;
pub mod flight;
pub mod hash;
pub mod histogram;
pub mod id;
pub mod json;
pub mod key;
pub mod memcache;
pub mod path;
pub mod pipeline;
pub mod policy;
pub mod rate;
pub mod report;
pub mod room;
pub mod token;
pub mod value;
pub mod verdict;

/// There was no memory. The structure is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;
