//! The tests of what needs no nginx: whole parts of `core`, and of `shm`, from outside.

#[path = "../common/advised.rs"]
mod advised;
#[path = "../common/case.rs"]
mod case;
#[path = "../common/dashboard.rs"]
mod dashboard;
#[path = "../common/document.rs"]
mod document;
#[path = "../common/numbers.rs"]
mod numbers;
#[path = "../common/schema.rs"]
mod schema;
#[path = "../common/statuses.rs"]
mod statuses;

mod accept;
mod advice;
mod advice_always;
mod advice_files;
mod advice_headers;
mod hostile;
mod limit;
mod marshal;
mod memcache;
mod metrics;
mod page;
mod status;
mod token;
