//! The seats of those who are admitted, and which of them ends first: a binary heap (Williams, Algorithm
//! 232, 1964) of seats by their end.
//!
//! A seat is four words: the session (0: the seat is free), when the seat ends and where in the heap it
//! stands, when the session ends and whether the seat is provisional, and the network.

use std::sync::atomic::{fence, Ordering::Release};

use super::cells::{high, joined, low, Cells, Halves};
use crate::shm::Word;

/// Words of a seat.
pub const WORDS: usize = 4;

const SESSION: usize = 0;
const UNTIL: usize = 1;
const END: usize = 2;
const NETWORK: usize = 3;

/// What is held of one who is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The session.
    pub session: u64,
    /// When the seat is free, if nothing is heard of its owner, in milliseconds.
    pub until: u64,
    /// When it is free in any case.
    pub end: u64,
    /// Whether the owner has not shown yet that it keeps cookies.
    pub is_provisional: bool,
    /// The mark of its network; counted while the seat is provisional.
    pub network: u64,
}

/// The seats.
#[derive(Clone, Copy)]
pub struct Seats<'a> {
    cells: Cells<'a>,
    /// All seats: those that are held, as a heap, and behind them the free ones. Each is written as its
    /// difference (exclusive or) from its position, so that fresh memory is in order.
    heap: Halves<'a>,
    /// How many are held.
    held: Cells<'a>,
}

impl<'a> Seats<'a> {
    /// Over the words of seats, those of the heap, and the one that counts the held ones.
    pub fn new(seats: &'a [Word], heap: &'a [Word], held: &'a [Word]) -> Self {
        Self { cells: Cells::new(seats), heap: Halves::new(heap), held: Cells::new(held) }
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.cells.len() / WORDS
    }

    /// How many are held.
    pub fn held(self) -> usize {
        self.held.get(0) as usize
    }

    /// What is in a seat.
    pub fn get(self, seat: usize) -> Seat {
        let end = self.cells.get(seat * WORDS + END);
        Seat {
            session: self.session(seat),
            until: self.until(seat),
            end: high(end),
            is_provisional: low(end) != 0,
            network: high(self.cells.get(seat * WORDS + NETWORK)),
        }
    }

    /// Who has a seat; 0: nobody.
    pub fn session(self, seat: usize) -> u64 {
        self.cells.get(seat * WORDS + SESSION)
    }

    /// The seat that ends first, and when.
    pub fn first(self) -> Option<(usize, u64)> {
        let seat = (self.held() > 0).then(|| self.at(0))?;
        Some((seat, self.until(seat)))
    }

    /// Fills a free seat. `None`: there is none.
    pub fn put(self, seat: Seat) -> Option<usize> {
        let place = (self.held() < self.len()).then(|| self.at(self.held()))?;
        let word = place * WORDS;
        self.cells.set(word + UNTIL, joined(seat.until, 0));
        self.cells.set(word + NETWORK, joined(seat.network, 0));
        self.write_end(place, seat);
        // What is cut off here is a free seat.
        fence(Release);
        self.cells.set(word + SESSION, seat.session);
        self.push(place);
        Some(place)
    }

    /// Changes what is held of an owner, but not who it is.
    pub fn change(self, place: usize, seat: Seat) {
        self.write_end(place, seat);
        let position = self.position(place);
        self.cells.set(place * WORDS + UNTIL, joined(seat.until, position));
        self.settle(position);
    }

    /// Frees a seat.
    pub fn take(self, place: usize) {
        let (position, last) = (self.position(place), self.held() - 1);
        let moved = self.at(last);
        self.write(position, moved);
        self.write(last, place);
        self.held.set(0, last as u64);
        if position < last {
            self.settle(position);
        }
        self.cells.set(place * WORDS + SESSION, 0);
    }

    /// Puts all seats that are held into a new heap. Tells each of them.
    pub fn rebuild(self, mut tell: impl FnMut(usize, Seat)) {
        self.heap.clear();
        self.held.set(0, 0);
        for place in 0..self.len() {
            if self.session(place) != 0 {
                // It stands at its own position yet, and changes with the free one next to the heap.
                self.write(place, self.at(self.held()));
                self.push(place);
                tell(place, self.get(place));
            }
        }
    }

    /// Each seat knows where it stands, and none of those that are held ends before the one above it.
    #[cfg(all(test, not(shuttle)))]
    pub fn check_heap(self) {
        for position in 0..self.len() {
            let is_held = position < self.held();
            assert_eq!(self.session(self.at(position)) != 0, is_held, "position {position}");
            if is_held {
                assert_eq!(self.position(self.at(position)), position);
                assert!(self.end_at(position.saturating_sub(1) / 2) <= self.end_at(position));
            }
        }
    }

    fn until(self, place: usize) -> u64 {
        high(self.cells.get(place * WORDS + UNTIL))
    }

    fn write_end(self, place: usize, seat: Seat) {
        let is_provisional = usize::from(seat.is_provisional);
        self.cells.set(place * WORDS + END, joined(seat.end, is_provisional));
    }

    /// Takes the first free one, which is this, into the heap.
    fn push(self, place: usize) {
        let position = self.held();
        self.held.set(0, position as u64 + 1);
        self.write(position, place);
        self.settle(position);
    }

    /// Brings the seat at a position to where it belongs.
    fn settle(self, mut position: usize) {
        while position > 0 && self.end_at(position) < self.end_at((position - 1) / 2) {
            self.swap(position, (position - 1) / 2);
            position = (position - 1) / 2;
        }
        loop {
            let children = [2 * position + 1, 2 * position + 2];
            let held = self.held();
            let least = children.into_iter().filter(|child| *child < held);
            match least.min_by_key(|child| self.end_at(*child)) {
                Some(child) if self.end_at(child) < self.end_at(position) => {
                    self.swap(position, child);
                    position = child;
                }
                _ => return,
            }
        }
    }

    fn swap(self, one: usize, other: usize) {
        let (first, second) = (self.at(one), self.at(other));
        self.write(one, second);
        self.write(other, first);
    }

    fn end_at(self, position: usize) -> u64 {
        self.until(self.at(position))
    }

    /// The seat at a position.
    fn at(self, position: usize) -> usize {
        self.heap.get(position) as usize ^ position
    }

    /// Puts a seat at a position.
    fn write(self, position: usize, place: usize) {
        self.heap.set(position, (place ^ position) as u32);
        let word = place * WORDS + UNTIL;
        self.cells.set(word, joined(high(self.cells.get(word)), position));
    }

    fn position(self, place: usize) -> usize {
        low(self.cells.get(place * WORDS + UNTIL))
    }
}
