//! The servers of all stores: their addresses, and what has happened with each.
//!
//! An address has the first free place from that of its hash on. The hash takes the place, then the
//! address is written, its length last. Everybody who comes to the place writes it anew, which changes nothing: so if who came
//! first died in between, the next one ends what he began.

use std::hash::Hasher;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use siphasher::sip::SipHasher13;

use super::{LINE, STRIPES};
use crate::shm::{packed, unpacked, Word};

/// Servers that are told apart; what happens with any others is counted as that of one more.
pub(super) const SERVERS: usize = 64;

/// The number of the others, and what they are called.
const OTHER: ServerNumber = ServerNumber(SERVERS);
const OTHER_NAME: &[u8] = b"other";

/// Words before a server's counters: the hash, the length of the address, the address. The longest is that of a
/// unix socket, with `unix:` before a path of 107 bytes.
const NAME: usize = 2;
const NAME_WORDS: usize = 14;

/// Words of a server: its name, and a cache line of counters for each stripe.
const SERVER: usize = NAME + NAME_WORDS + STRIPES * LINE;

/// Words of all.
pub(super) const WORDS: usize = (SERVERS + 1) * SERVER;

/// A server, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerNumber(usize);

impl ServerNumber {
    /// Its place, less than `SERVERS` + 1.
    pub(super) fn place(self) -> usize {
        self.0
    }
}

/// What happens with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was asked for a key.
    Question,
    /// A connection to it was made.
    Connect,
    /// That took the place of one that was lost.
    Reconnect,
    /// It could not be reached, broke off, or did not say what it should have.
    Failure,
    /// It did not answer, or could not be reached, in time.
    Timeout,
}

/// The servers.
#[derive(Clone, Copy)]
pub(super) struct Servers<'a>(&'a [Word]);

impl<'a> Servers<'a> {
    /// Over [`WORDS`] words.
    pub fn new(words: &'a [Word]) -> Self {
        Self(&words[..WORDS])
    }

    /// The number of a server by its address.
    pub fn number(&self, address: &[u8]) -> ServerNumber {
        let mut hasher = SipHasher13::new();
        hasher.write(address);
        let hash = hasher.finish().max(1);
        let start = (hash % SERVERS as u64) as usize;
        let mut places = (start..SERVERS).chain(0..start);
        let is_its_own = |place: &usize| {
            let taken = self.words(*place)[0].compare_exchange(0, hash, AcqRel, Acquire);
            taken.is_ok() || taken == Err(hash)
        };
        let Some(place) = places.find(is_its_own) else {
            return OTHER;
        };
        let words = self.words(place);
        let address = &address[..address.len().min(NAME_WORDS * 8)];
        let name = words[NAME..].iter().zip(packed(address));
        name.for_each(|(word, part)| word.store(part, Relaxed));
        words[1].store(address.len() as u64, Release);
        ServerNumber(place)
    }

    /// All that have a name.
    pub fn named(&self) -> impl Iterator<Item = (ServerNumber, Vec<u8>)> + use<'a> {
        let servers = *self;
        let numbers = (0..SERVERS).map(ServerNumber);
        let names = numbers.filter_map(move |number| Some((number, servers.name(number)?)));
        let counters = &self.words(OTHER.0)[NAME + NAME_WORDS..];
        let others = counters.iter().any(|counter| counter.load(Relaxed) > 0);
        names.chain(others.then(|| (OTHER, OTHER_NAME.to_vec())))
    }

    fn name(&self, number: ServerNumber) -> Option<Vec<u8>> {
        let words = self.words(number.0);
        let length = words[1].load(Acquire) as usize;
        let mut name: Vec<u8> = unpacked(&words[NAME..NAME + NAME_WORDS]).collect();
        name.truncate(length);
        (length > 0).then_some(name)
    }

    /// A server's counter of a stripe.
    pub fn counter(&self, number: ServerNumber, event: Event, stripe: usize) -> &'a Word {
        &self.words(number.0)[NAME + NAME_WORDS + stripe * LINE + event as usize]
    }

    fn words(&self, place: usize) -> &'a [Word] {
        &self.0[place * SERVER..][..SERVER]
    }
}
