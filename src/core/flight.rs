//! Single flight: everybody who waits for one key shares one lookup.
//!
//! A *flight* is one lookup on its way to the store; a *waiter* is one request that wants its
//! answer, until its own deadline. A flight outlives its waiters: the store's answer is still
//! owed, and a newcomer may join it. Handles carry a generation, so that one kept too long finds
//! nothing instead of somebody else's flight.
//!
//! The tables grow in [`Flights::reserve`] alone, and only to the greatest number held at a time.

use hashbrown::hash_table::HashTable;
use slotmap::{new_key_type, SlotMap};

use super::{key, NoMemory};

new_key_type! {
    /// A lookup on its way.
    pub struct FlightId;
    /// One who waits for the answer of a lookup.
    pub struct WaiterId;
}

/// What makes two lookups the same: equal keys asked for in the same way.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// A keyed hash of the other two fields.
    pub hash: u64,
    /// Lookups of one class have the same store, the same settings and the same timeout.
    pub class: usize,
    /// The store's key.
    pub key: &'a [u8],
}

struct Flight<T> {
    hash: u64,
    class: usize,
    key: Vec<u8>,
    waiters: List,
    attempt: T,
}

struct Waiter<W> {
    who: W,
    flight: FlightId,
    deadline: u64,
    links: [Link; 2],
}

/// The list of a flight's waiters, oldest first.
const OF_FLIGHT: usize = 0;
/// The list of a class's waiters, earliest deadline first.
const OF_CLASS: usize = 1;

#[derive(Clone, Copy, Default)]
struct Link {
    previous: Option<WaiterId>,
    next: Option<WaiterId>,
}

#[derive(Clone, Copy, Default)]
struct List {
    first: Option<WaiterId>,
    last: Option<WaiterId>,
}

/// All flights of a worker with those who wait for them. `W` names a waiter to the caller, `T` is
/// what the caller keeps of a flight.
pub struct Flights<W, T> {
    flights: SlotMap<FlightId, Flight<T>>,
    waiters: SlotMap<WaiterId, Waiter<W>>,
    by_key: HashTable<FlightId>,
    classes: Vec<List>,
    spare_keys: Vec<Vec<u8>>,
}

impl<W, T> Default for Flights<W, T> {
    fn default() -> Self {
        Self {
            flights: SlotMap::with_key(),
            waiters: SlotMap::with_key(),
            by_key: HashTable::new(),
            classes: Vec::new(),
            spare_keys: Vec::new(),
        }
    }
}

impl<W: Copy, T: Default> Flights<W, T> {
    /// Makes room for one more flight of a class and one more waiter, so that nothing is allocated
    /// until both are there.
    ///
    /// # Errors
    /// There is no memory.
    pub fn reserve(&mut self, class: usize) -> Result<(), NoMemory> {
        let flights = &mut self.flights;
        flights.try_reserve(1).map_err(|_| NoMemory)?;
        self.waiters.try_reserve(1).map_err(|_| NoMemory)?;
        let hash_of = |id: &FlightId| flights.get(*id).map_or(0, |f| f.hash);
        self.by_key.try_reserve(1, hash_of).map_err(|_| NoMemory)?;
        // A key comes back to the spare ones with each flight that lands.
        let keys = flights.len().saturating_add(1);
        self.spare_keys.try_reserve(keys).map_err(|_| NoMemory)?;
        if self.spare_keys.is_empty() {
            self.spare_keys.push(Vec::new());
        }
        if let Some(key) = self.spare_keys.last_mut() {
            key.clear();
            key.try_reserve(key::MAX_LEN).map_err(|_| NoMemory)?;
        }
        let classes = class.saturating_add(1);
        if self.classes.len() < classes {
            self.classes.try_reserve(classes).map_err(|_| NoMemory)?;
            self.classes.resize(classes, List::default());
        }
        Ok(())
    }

    /// The flight to `target`, and whether it was started by this call.
    pub fn enter(&mut self, target: Target<'_>) -> (FlightId, bool) {
        let flights = &mut self.flights;
        let same = |id: &FlightId| {
            flights.get(*id).is_some_and(|f| f.class == target.class && f.key == target.key)
        };
        if let Some(id) = self.by_key.find(target.hash, same) {
            return (*id, false);
        }
        let mut key = self.spare_keys.pop().unwrap_or_default();
        key.clear();
        key.extend_from_slice(target.key);
        let id = flights.insert(Flight {
            hash: target.hash,
            class: target.class,
            key,
            waiters: List::default(),
            attempt: T::default(),
        });
        let rehash = |id: &FlightId| flights.get(*id).map_or(0, |f| f.hash);
        self.by_key.insert_unique(target.hash, id, rehash);
        (id, true)
    }

    /// Lets `who` wait for `flight` until `deadline`, in milliseconds. Waiters of one class must
    /// come with deadlines that do not decrease, which equal timeouts give. `None`: no such flight.
    pub fn wait(&mut self, flight: FlightId, who: W, deadline: u64) -> Option<WaiterId> {
        let class = self.flights.get(flight)?.class;
        let id = self.waiters.insert(Waiter { who, flight, deadline, links: Default::default() });
        let of_flight = &mut self.flights.get_mut(flight)?.waiters;
        append(&mut self.waiters, of_flight, OF_FLIGHT, id);
        append(&mut self.waiters, self.classes.get_mut(class)?, OF_CLASS, id);
        Some(id)
    }

    /// Takes a waiter out of its flight. `None`: it has left before.
    pub fn leave(&mut self, waiter: WaiterId) -> Option<(W, FlightId)> {
        let id = self.waiters.get(waiter)?.flight;
        let flight = self.flights.get_mut(id)?;
        unlink(&mut self.waiters, &mut flight.waiters, OF_FLIGHT, waiter);
        unlink(&mut self.waiters, self.classes.get_mut(flight.class)?, OF_CLASS, waiter);
        self.waiters.remove(waiter).map(|waiter| (waiter.who, id))
    }

    /// The waiter that has been waiting for `flight` the longest.
    pub fn first_waiter(&self, flight: FlightId) -> Option<(WaiterId, W)> {
        let id = self.flights.get(flight)?.waiters.first?;
        self.waiters.get(id).map(|waiter| (id, waiter.who))
    }

    /// A waiter whose deadline has come.
    pub fn overdue(&self, now: u64) -> Option<WaiterId> {
        let firsts = self.classes.iter().filter_map(|class| class.first);
        firsts.into_iter().find(|id| self.waiters.get(*id).is_some_and(|w| w.deadline <= now))
    }

    /// The earliest deadline of all waiters.
    pub fn next_deadline(&self) -> Option<u64> {
        let firsts = self.classes.iter().filter_map(|class| class.first);
        firsts.filter_map(|id| self.waiters.get(id)).map(|waiter| waiter.deadline).min()
    }

    /// The key of `flight`; empty if there is no such flight.
    pub fn key(&self, flight: FlightId) -> &[u8] {
        self.flights.get(flight).map_or(&[], |flight| &flight.key)
    }

    /// What the caller keeps of `flight`.
    pub fn attempt(&mut self, flight: FlightId) -> Option<&mut T> {
        self.flights.get_mut(flight).map(|flight| &mut flight.attempt)
    }

    /// Ends a flight that nobody waits for any more; one with waiters stays.
    pub fn land(&mut self, flight: FlightId) -> Option<T> {
        if self.flights.get(flight)?.waiters.first.is_some() {
            return None;
        }
        let landed = self.flights.remove(flight)?;
        if let Ok(entry) = self.by_key.find_entry(landed.hash, |id| *id == flight) {
            entry.remove();
        }
        self.spare_keys.push(landed.key);
        Some(landed.attempt)
    }

    /// How many flights are on their way, and how many wait for them.
    pub fn count(&self) -> (usize, usize) {
        (self.flights.len(), self.waiters.len())
    }

    /// An upper bound of the waiters that there is room for.
    pub fn waiter_slots(&self) -> usize {
        self.waiters.capacity()
    }

    /// Whether nobody waits.
    pub fn nobody_waits(&self) -> bool {
        self.waiters.is_empty()
    }
}

fn append<W>(
    waiters: &mut SlotMap<WaiterId, Waiter<W>>,
    list: &mut List,
    which: usize,
    id: WaiterId,
) {
    let previous = list.last.replace(id);
    set_link(waiters, Some(id), which, |link| link.previous = previous);
    match previous {
        Some(_) => set_link(waiters, previous, which, |link| link.next = Some(id)),
        None => list.first = Some(id),
    }
}

fn unlink<W>(
    waiters: &mut SlotMap<WaiterId, Waiter<W>>,
    list: &mut List,
    which: usize,
    id: WaiterId,
) {
    let Some(link) = waiters.get(id).and_then(|waiter| waiter.links.get(which)).copied() else {
        return;
    };
    match link.previous {
        Some(_) => set_link(waiters, link.previous, which, |before| before.next = link.next),
        None => list.first = link.next,
    }
    match link.next {
        Some(_) => set_link(waiters, link.next, which, |after| after.previous = link.previous),
        None => list.last = link.previous,
    }
}

fn set_link<W>(
    waiters: &mut SlotMap<WaiterId, Waiter<W>>,
    id: Option<WaiterId>,
    which: usize,
    change: impl FnOnce(&mut Link),
) {
    let link = id.and_then(|id| waiters.get_mut(id)).and_then(|w| w.links.get_mut(which));
    if let Some(link) = link {
        change(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights() -> Flights<u32, ()> {
        let mut flights = Flights::default();
        flights.reserve(1).unwrap();
        flights
    }

    fn target(key: &[u8]) -> Target<'_> {
        Target { hash: key.len() as u64, class: 0, key }
    }

    #[test]
    fn equal_keys_share_a_flight_even_where_hashes_collide() {
        let mut flights = flights();
        let (a, new_a) = flights.enter(target(b"aa"));
        let (b, new_b) = flights.enter(target(b"bb"));
        assert!(new_a && new_b && a != b);
        assert_eq!(flights.enter(target(b"aa")), (a, false));
        assert!(flights.enter(Target { class: 1, ..target(b"aa") }).1);
    }

    #[test]
    fn waiters_leave_in_any_order_and_the_flight_lands_when_empty() {
        let mut flights = flights();
        let (flight, _) = flights.enter(target(b"k"));
        let ids: Vec<_> = (0..5).map(|n| flights.wait(flight, n, 100).unwrap()).collect();
        assert_eq!(flights.leave(ids[2]), Some((2, flight)));
        assert_eq!(flights.leave(ids[0]), Some((0, flight)));
        assert_eq!(flights.leave(ids[4]), Some((4, flight)));
        assert_eq!(flights.leave(ids[4]), None);
        assert_eq!(flights.first_waiter(flight), Some((ids[1], 1)));
        assert_eq!(flights.land(flight), None, "somebody still waits");
        flights.leave(ids[1]);
        flights.leave(ids[3]);
        assert!(flights.nobody_waits());
        assert!(flights.land(flight).is_some());
        assert!(flights.count() == (0, 0) && flights.wait(flight, 9, 1).is_none());
    }

    #[test]
    fn each_waiter_has_its_own_deadline() {
        let mut flights = flights();
        let (flight, _) = flights.enter(target(b"k"));
        let first = flights.wait(flight, 1, 100).unwrap();
        let second = flights.wait(flight, 2, 150).unwrap();
        let (other, _) = flights.enter(Target { class: 1, ..target(b"k") });
        let third = flights.wait(other, 3, 120).unwrap();
        assert_eq!(flights.next_deadline(), Some(100));
        assert_eq!(flights.overdue(99), None);
        assert_eq!(flights.overdue(100), Some(first));
        flights.leave(first);
        assert_eq!(flights.next_deadline(), Some(120));
        assert_eq!(flights.overdue(130), Some(third));
        flights.leave(third);
        assert_eq!(flights.overdue(149), None);
        assert_eq!(flights.overdue(150), Some(second));
    }
}
