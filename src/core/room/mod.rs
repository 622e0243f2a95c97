//! The waiting room's decisions: who is told what, and when to come back. Who waits and who has a seat is
//! kept by `shm::room`.

pub mod accept;
pub mod json;
pub mod pace;
pub mod page;
pub mod report;
pub mod rules;
