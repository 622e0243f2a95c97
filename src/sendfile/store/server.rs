//! A server as this worker knows it.

use super::network::ConnectionId;
use crate::nginx::now;
use crate::nginx::peer::Chosen;
use crate::nginx::socket::Address;
use crate::sendfile::counters;
use crate::shm::lookups::{Event, ServerNumber};

/// Milliseconds for which a server that could not be reached is left alone: at first, and at most.
const BACK_OFF: (u64, u64) = (20, 1000);

/// A server.
pub struct Server {
    pub address: Address,
    /// The connection to it, if there is one.
    pub connection: Option<ConnectionId>,
    /// Where it is counted.
    number: Option<ServerNumber>,
    /// Whether this worker has ever had a connection to it.
    was_reached: bool,
    back_off: u64,
    down_until: u64,
}

impl Server {
    /// The server that a balancer has chosen. `None`: there is no memory.
    pub fn new(chosen: &Chosen) -> Option<Self> {
        let address = Address::copy(chosen)?;
        Some(Self {
            number: counters::server(address.name()),
            address,
            connection: None,
            was_reached: false,
            back_off: BACK_OFF.0,
            down_until: 0,
        })
    }

    /// Whether it is to be left alone.
    pub fn is_down(&self) -> bool {
        now() < self.down_until
    }

    /// Leaves it alone for a moment, which doubles.
    pub fn leave_alone(&mut self) {
        self.down_until = now() + self.back_off;
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
    }

    /// Takes note that it is well.
    pub fn recovered(&mut self) {
        self.back_off = BACK_OFF.0;
        self.down_until = 0;
    }

    /// Takes note that a connection has been made.
    pub fn reached(&mut self) {
        self.count(Event::Connect);
        if std::mem::replace(&mut self.was_reached, true) {
            self.count(Event::Reconnect);
        }
    }

    /// Counts what has happened with it.
    pub fn count(&self, event: Event) {
        counters::count_event(self.number, event);
    }

    /// Says how many connections to it are open and how many answers it owes, before and now.
    pub fn has(&self, before: [u64; 2], now: [u64; 2]) {
        counters::server_has(self.number, before, now);
    }
}
