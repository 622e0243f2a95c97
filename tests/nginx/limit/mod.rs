//! `smart_limit`.

mod article;
mod bodies;
mod delay;
mod directives;
mod extras;
mod faults;
mod headers;
mod inheritance;
mod injection;
mod once;
mod parity;
mod place;
mod rates;
mod reload;
mod under_way;
mod variables;
