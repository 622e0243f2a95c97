//! Seats: who is given one, and when it is free again.

use super::header::{self, at, Counter};
use super::seats;
use super::section::{Section, Visit, AT_ONCE};
use crate::core::bucket::{Bucket, Limit, Offer};
use crate::core::rate::REQUEST;
use crate::core::room::pace;

impl Section<'_> {
    /// Gives a seat to a session that is new and has not shown yet that it keeps cookies, if a seat is left
    /// for it when all who wait have theirs.
    pub fn seat_at_once(&self, visit: &Visit) -> bool {
        let network = visit.network.unwrap_or_default();
        let provisional = self.get(at::PROVISIONAL);
        let is_possible = self.waiting() < self.open_seats()
            && provisional < u64::from(self.rules.max_active / 2)
            && self.allows(network)
            && self.others_return(visit).is_none();
        let seat = seats::Seat {
            session: visit.session,
            until: self.now.saturating_add(self.rules.absent.min(self.rules.session)),
            end: self.now.saturating_add(self.rules.session),
            is_provisional: true,
            network,
        };
        let Some(place) = is_possible.then(|| self.room.seats.put(seat)).flatten() else {
            return false;
        };
        self.room.networks.add(network);
        self.room.sessions.insert(visit.session, self.room.slots + place);
        self.set(at::PROVISIONAL, provisional + 1);
        self.admitted();
        self.count(Counter::Provisional);
        true
    }

    /// How many of those who are next may be given a seat now: as many as are free, and as `admit=` allows.
    pub(super) fn open_seats(&self) -> u64 {
        let allowed = self.admissions().map_or(u64::MAX, |(limit, bucket)| {
            let full = u64::from(limit.burst) + u64::from(REQUEST);
            full.saturating_sub(bucket.level_at(limit.rate, self.now).into()) / u64::from(REQUEST)
        });
        allowed.min(self.free_seats())
    }

    /// Seats that nobody holds.
    pub(super) fn free_seats(&self) -> u64 {
        let held = self.room.seats.held().try_into().unwrap_or(u64::MAX);
        u64::from(self.rules.max_active).saturating_sub(held)
    }

    /// The limit of admissions, if there is one, and what its bucket holds.
    fn admissions(&self) -> Option<(Limit, Bucket)> {
        let rate = self.rules.admit?;
        // As many may be admitted at once as it allows until those who are next come back.
        let time = pace::shortest_interval(&self.rules).try_into().unwrap_or(u32::MAX);
        let full = u32::try_from(rate.leaks(time)).unwrap_or(u32::MAX);
        let limit = Limit { rate, burst: full.saturating_sub(REQUEST), delay: u32::MAX };
        Some((limit, Bucket::from_word(self.get(at::ADMISSIONS))))
    }

    /// From a place to a seat; false if there is none. The seat comes first: if this is cut off, it counts.
    pub(super) fn admit(&self, slot: usize) -> bool {
        let session = self.room.places.session(slot);
        let end = self.now.saturating_add(self.rules.session);
        let until = self.until(end);
        let seat = seats::Seat { session, until, end, is_provisional: false, network: 0 };
        let Some(place) = self.room.seats.put(seat) else {
            return false;
        };
        self.room.sessions.replace(session, slot, self.room.slots + place);
        self.vacate(slot);
        self.admitted();
        true
    }

    fn admitted(&self) {
        self.count(Counter::Admitted);
        if let Some((limit, bucket)) = self.admissions() {
            if let Offer::Passes { charged, .. } = bucket.offer(&limit, self.now) {
                self.set(at::ADMISSIONS, charged.to_word());
            }
        }
        // The first who fill an empty room say nothing of how fast seats become free.
        if let Some(freed) = self.get(at::FREED).checked_sub(1) {
            self.set(at::FREED, freed);
            header::write_meter(
                self.room.cells,
                header::read_meter(self.room.cells).with_one(self.now),
            );
        }
    }

    /// Notes that the owner of a seat was heard of.
    pub(super) fn touch(&self, place: usize) {
        let old = self.room.seats.get(place);
        let end =
            if self.rules.renew { self.now.saturating_add(self.rules.session) } else { old.end };
        let seat = seats::Seat { end, until: self.until(end), is_provisional: false, ..old };
        if seat != old {
            self.room.seats.change(place, seat);
        }
        if old.is_provisional {
            self.confirmed(old.network);
        }
    }

    fn confirmed(&self, network: u64) {
        self.room.networks.subtract(network);
        self.set(at::PROVISIONAL, self.get(at::PROVISIONAL) - 1);
    }

    /// Until when a seat is held of whose owner was heard just now.
    fn until(&self, end: u64) -> u64 {
        self.rules.idle.map_or(end, |idle| end.min(self.now.saturating_add(idle)))
    }

    /// Frees seats whose time is over.
    pub(super) fn free_ended_seats(&self) {
        for _ in 0..AT_ONCE {
            let Some((place, _)) = self.room.seats.first().filter(|(_, until)| *until <= self.now)
            else {
                return;
            };
            self.free_seat(place);
        }
    }

    /// Frees a seat.
    pub(super) fn free_seat(&self, place: usize) {
        let seat = self.room.seats.get(place);
        let spot = self.room.slots + place;
        self.room.sessions.remove(seat.session, spot, |other| self.session_at(other));
        self.room.seats.take(place);
        if seat.is_provisional {
            self.confirmed(seat.network);
        }
        let freed = self.get(at::FREED) + 1;
        self.set(at::FREED, freed.min(self.rules.max_active.into()));
        self.count(Counter::Ended);
    }
}
