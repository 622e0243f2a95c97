//! Open addressing with linear probing (Knuth, The Art of Computer Programming 3, 6.4, algorithms L and R):
//! the arithmetic of places in a circle, which the tables share.

/// A circle of so many places.
#[derive(Clone, Copy)]
pub struct Circle(pub usize);

impl Circle {
    /// Where a hash is looked for first.
    #[inline]
    pub fn home(self, hash: u64) -> usize {
        ((u128::from(hash) * self.0 as u128) >> 64) as usize
    }

    /// The place after this one.
    #[inline]
    pub fn next(self, place: usize) -> usize {
        if place + 1 == self.0 {
            0
        } else {
            place + 1
        }
    }

    /// Fills a hole, so that every entry can be found from its home: entries behind it move up. Tells which
    /// place is free at last. `hash_at` tells the hash of the entry at a place, none where it is free;
    /// `move_up` moves an entry from its second argument to its first.
    pub fn close(
        self,
        mut hole: usize,
        hash_at: impl Fn(usize) -> Option<u64>,
        move_up: impl Fn(usize, usize),
    ) -> usize {
        let mut place = self.next(hole);
        while let Some(hash) = hash_at(place) {
            // Unless that brought it before its home.
            if self.distance(self.home(hash), place) >= self.distance(hole, place) {
                move_up(hole, place);
                hole = place;
            }
            place = self.next(place);
        }
        hole
    }

    fn distance(self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.0 - from
        }
    }
}
