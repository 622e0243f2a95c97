//! What an operator has decided about a room: the parameters of `smart_limit_room`.

use crate::core::rate::Rate;

/// Who of those that wait is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Who has waited longest.
    Fifo,
    /// Whoever draws a seat: each poll wins with the probability free seats / waiting.
    Random,
}

/// The parameters. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seats: the most sessions that are admitted at one time.
    pub max_active: u32,
    /// The most admissions per time. `None`: as many as there are seats.
    pub admit: Option<Rate>,
    /// How long a seat is held at most.
    pub session: u64,
    /// Whether each request of a seated session starts `session` anew.
    pub renew: bool,
    /// A seat unheard of for this long is free. `None`: only `session` ends it.
    pub idle: Option<u64>,
    /// Who waits and is this long past the time at which he was told to come back loses his place.
    pub absent: u64,
    /// The most who wait. `None`: as many as there is room for.
    pub max_waiting: Option<u32>,
    /// The most places and provisional seats of one network. `None`: no bound.
    pub per_net: Option<u32>,
    /// A place is given only to a session at least this old.
    pub entry_delay: u64,
    /// Who is admitted.
    pub order: Order,
    /// The shortest and the longest time after which who waits is told to come back.
    pub refresh: (u64, u64),
}
