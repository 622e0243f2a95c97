//! Who has passed a request on, by the address of the configuration that its upstream has.
//!
//! Every request of an upstream asks, and locations may take turns as they like: a table with a hash that is one
//! multiplication finds nearly all at the first place.

use super::conf::Passer;

/// The golden ratio, as Fibonacci hashing has it (Knuth, volume 3, 6.4): addresses that follow one another at any
/// distance are spread evenly by its upper bits.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Places for each passer, or more.
const SPARSENESS: usize = 4;

/// The table.
#[derive(Default)]
pub struct Passers {
    /// By the upper bits of the hash, or behind; after the last there is an empty one.
    places: Vec<(usize, Option<Passer>)>,
    shift: u32,
}

impl Passers {
    /// Of all passers, whose addresses differ.
    pub fn new(all: &[(usize, Passer)]) -> Self {
        let bits = all.len().saturating_mul(SPARSENESS).max(2).next_power_of_two().ilog2();
        let mut table = Self { places: vec![(0, None); 1 << bits], shift: u64::BITS - bits };
        for (address, passer) in all {
            let mut place = table.first_place(*address);
            while table.places.get(place).is_some_and(|(_, taken)| taken.is_some()) {
                place += 1;
            }
            // The last is never taken, or else nobody would know where to end.
            if table.places.len() < place + 2 {
                table.places.resize(place + 2, (0, None));
            }
            table.places[place] = (*address, Some(*passer));
        }
        table
    }

    #[inline]
    fn first_place(&self, address: usize) -> usize {
        ((address as u64).wrapping_mul(MULTIPLIER) >> (self.shift & 63)) as usize
    }

    /// Who has this address. `None`: who is not measured.
    #[inline]
    pub fn find(&self, address: usize) -> Option<Passer> {
        let first = self.first_place(address);
        match self.places.get(first)? {
            (at, passer) if *at == address => *passer,
            (_, None) => None,
            _ => self.find_behind(first, address),
        }
    }

    /// The same, where the first place is another's.
    #[cold]
    fn find_behind(&self, first: usize, address: usize) -> Option<Passer> {
        let mut places = self.places.iter().skip(first);
        places.find(|(at, passer)| *at == address || passer.is_none())?.1
    }
}
