//! `smart_buffers`: what is measured, and what is advised.

mod accepted;
mod cut_off;
mod directives;
mod effect;
mod headers;
mod places;
mod requests;
mod settings;
mod upstreams;
