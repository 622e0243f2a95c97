//! The waiting room's decisions: who is told what, and when to come back. Who waits and who has a seat is
//! kept by `shm::room`.

pub mod rules;
