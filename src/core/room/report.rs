//! What a visitor is told about the room and his place in it.

use super::rules::Order;

/// How the room sees who has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// He waits.
    Waiting,
    /// He has a seat: the site is his.
    Admitted,
    /// As many wait as may. He does not.
    Full,
    /// He has no seat and needs none: the limits let him pass.
    Passed,
}

impl Status {
    /// Its word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Admitted => "admitted",
            Self::Full => "full",
            Self::Passed => "passed",
        }
    }
}

/// What is told to who has asked.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The room's name.
    pub room: &'a [u8],
    /// Who is admitted. Where it is drawn, nobody has a position.
    pub order: Order,
    /// How the room sees him.
    pub status: Status,
    /// His place, from 1. `None`: he has none yet, or none any more.
    pub position: Option<u64>,
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted.
    pub active: u64,
    /// How many can be admitted at one time.
    pub max_active: u64,
    /// After how many seconds he will probably be admitted. `None`: it is not known.
    pub wait_seconds: Option<u64>,
    /// In how many seconds he is to ask again.
    pub refresh_seconds: u64,
}
