//! Which places of the ring are taken, and how many up to any of them: a bit each, and a Fenwick tree
//! (Fenwick, A New Data Structure for Cumulative Frequency Tables, 1994) over blocks of 64.

use super::cells::{Cells, Halves};
use crate::shm::Word;

/// Places of a block.
pub const BLOCK: usize = 64;

/// The words that so many blocks need.
pub fn words_for(blocks: usize) -> usize {
    blocks + tree_words(blocks)
}

fn tree_words(blocks: usize) -> usize {
    (blocks + 1).div_ceil(2)
}

/// The bits and the tree.
#[derive(Clone, Copy)]
pub struct Alive<'a> {
    bits: Cells<'a>,
    /// From 1 on; the node of a block counts those blocks that its lowest bit spans.
    tree: Halves<'a>,
}

impl<'a> Alive<'a> {
    /// Over `words_for(blocks)` words.
    pub fn new(words: &'a [Word], blocks: usize) -> Self {
        let (bits, tree) = words.split_at(blocks);
        Self { bits: Cells::new(bits), tree: Halves::new(tree) }
    }

    /// Sets a place's bit.
    pub fn set(self, place: usize) {
        let block = place / BLOCK;
        self.bits.set(block, self.bits.get(block) | 1 << (place % BLOCK));
        self.change(block, 1);
    }

    /// Clears a place's bit.
    pub fn clear(self, place: usize) {
        let block = place / BLOCK;
        self.bits.set(block, self.bits.get(block) & !(1 << (place % BLOCK)));
        self.change(block, u32::MAX);
    }

    /// Whether a place's bit is set.
    pub fn is_set(self, place: usize) -> bool {
        self.bits.get(place / BLOCK) >> (place % BLOCK) & 1 != 0
    }

    /// How many bits are set before a place.
    pub fn before(self, place: usize) -> usize {
        let within = self.bits.get(place / BLOCK) & ((1 << (place % BLOCK)) - 1);
        let (mut count, mut node) = (within.count_ones(), place / BLOCK);
        while node > 0 {
            count += self.tree.get(node);
            node &= node - 1;
        }
        count as usize
    }

    /// The first place at or after `from` and before `end` whose bit is set.
    pub fn next(self, from: usize, end: usize) -> Option<usize> {
        let mut from = from;
        while from < end {
            let rest = self.bits.get(from / BLOCK) >> (from % BLOCK);
            if rest != 0 {
                return Some(from + rest.trailing_zeros() as usize).filter(|place| *place < end);
            }
            from = (from / BLOCK + 1) * BLOCK;
        }
        None
    }

    /// Makes all bits those that `is_taken` says.
    pub fn rebuild(self, is_taken: impl Fn(usize) -> bool) {
        self.tree.clear();
        for block in 0..self.bits.len() {
            let bits = (0..BLOCK)
                .filter(|bit| is_taken(block * BLOCK + bit))
                .fold(0, |bits, bit| bits | 1_u64 << bit);
            self.bits.set(block, bits);
            self.change(block, bits.count_ones());
        }
    }

    fn change(self, block: usize, by: u32) {
        let mut node = block + 1;
        while node <= self.bits.len() {
            self.tree.set(node, self.tree.get(node).wrapping_add(by));
            node += node & node.wrapping_neg();
        }
    }
}
