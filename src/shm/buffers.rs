//! What locations and servers need of buffers: a record each of counters and histograms.
//!
//! Anybody adds at any time by atomic additions, without a lock; a death costs nothing but what was not added. A
//! record belongs to a tag. It is found, or taken, under a lock at the first request that needs it, and stays the
//! tag's over reloads until a configuration has no such tag any more. Who still adds for an older configuration may
//! then add to what another has taken: a few samples.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::histogram::{self, Histogram};
use crate::core::report::buffers::Protocol;
use crate::shm::{self, Word};

/// "smartBF" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"smartBF\x01");

/// Words before the records: magic, length, and how many records have ever been taken.
const HEADER: usize = 8;
const TAKEN: usize = 2;

/// Words of a record: its tag, the counters, the histograms, up to the end of a cache line.
const RECORD: usize = (1 + COUNTERS + Size::COUNT * histogram::WORDS).next_multiple_of(8);

/// Words of the counters.
const COUNTERS: usize = 15;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests.
    Requests,
    /// Bodies of requests that went to a file.
    BodiesSpilled,
    /// Answers of upstreams that went to a file.
    UpstreamSpilled,
    /// Headers of upstreams that were too big.
    UpstreamHeaderTooBig,
    /// The largest buffer that one of them was too big for, in bytes.
    UpstreamHeaderTooBigFor,
    /// Headers of requests that were too big.
    RequestHeaderTooBig,
    /// The largest buffer that one of them was too big for, in bytes.
    RequestHeaderTooBigFor,
    /// Answers of upstreams, by protocol: the first of as many counters.
    Protocols,
    /// Answers of upstreams that were buffered though their location is not set to, or the other way round.
    BufferedOtherwise = AFTER_PROTOCOLS,
}

/// The first counter after those of the protocols.
const AFTER_PROTOCOLS: isize = 12;

const _: () = {
    assert!(Counter::Protocols as isize + Protocol::ALL.len() as isize == AFTER_PROTOCOLS);
    assert!((Counter::BufferedOtherwise as usize) < COUNTERS);
};

/// What has a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Headers of requests, in bytes.
    RequestHeader,
    /// Bodies of requests, in bytes.
    RequestBody,
    /// Headers of upstreams, in bytes.
    UpstreamHeader,
    /// Bodies of upstreams, in bytes.
    UpstreamResponse,
    /// Bodies that no upstream gave, before gzip, in bytes.
    Response,
    /// Ratios of gzip, in hundredths.
    GzipRatio,
}

impl Size {
    const COUNT: usize = Self::GzipRatio as usize + 1;
}

/// The records over their memory. Cheap to make; all state is in the words.
#[derive(Clone, Copy)]
pub struct Records<'a>(&'a [Word]);

/// A record.
#[derive(Clone, Copy)]
pub struct Record<'a>(&'a [Word; RECORD]);

impl<'a> Records<'a> {
    /// Formats `words` without a record. `None`: there is not room for one.
    pub fn create(words: &'a [Word]) -> Option<Self> {
        let records = Self(words);
        records.at(0)?;
        shm::clear(words, HEADER);
        shm::seal(words, MAGIC);
        Some(records)
    }

    /// The records that [`Self::create`] has made of `words`. `None`: these words are none of this layout and size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        let records = Self(words);
        records.at(0)?;
        shm::is_sealed(words, MAGIC).then_some(records)
    }

    /// For how many there is room.
    pub fn capacity(&self) -> usize {
        (self.0.len() - HEADER) / RECORD
    }

    fn at(&self, number: usize) -> Option<Record<'a>> {
        let start = HEADER + number * RECORD;
        Some(Record(self.0.get(start..start + RECORD)?.try_into().ok()?))
    }

    /// Those that have been taken; the others stay untouched.
    fn taken(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let records = *self;
        let taken = records.0[TAKEN].load(Acquire) as usize;
        (0..taken.min(records.capacity())).filter_map(move |number| records.at(number))
    }

    /// The record of a tag, if it has one.
    pub fn find(&self, tag: u64) -> Option<Record<'a>> {
        self.taken().find(|record| record.tag() == tag)
    }

    /// The record of a tag, which is not zero; a new one if it has none. `None`: there is no room. The caller holds
    /// the zone's lock; others may add meanwhile.
    pub fn claim(&self, tag: u64) -> Option<Record<'a>> {
        if let Some(own) = self.find(tag) {
            return Some(own);
        }
        let record = self.taken().find(|record| record.tag() == 0).or_else(|| {
            let taken = self.0[TAKEN].load(Acquire) as usize;
            let next = self.at(taken)?;
            self.0[TAKEN].store(taken as u64 + 1, Release);
            Some(next)
        })?;
        // Its last owner's; if this is cut off, it is free as before.
        record.0[1..].iter().for_each(|word| word.store(0, Relaxed));
        record.0[0].store(tag, Release);
        Some(record)
    }

    /// Frees the records of all tags that are not kept. Needs no lock.
    pub fn retain(&self, is_kept: impl Fn(u64) -> bool) {
        for record in self.taken() {
            if !is_kept(record.tag()) {
                record.0[0].store(0, Release);
            }
        }
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.0[TAKEN].load(Acquire) as usize >= self.capacity()
            && self.taken().all(|record| record.tag() != 0)
    }
}

impl<'a> Record<'a> {
    fn tag(&self) -> u64 {
        self.0[0].load(Acquire)
    }

    /// Counts one more.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.0[1 + counter as usize].fetch_add(1, Relaxed);
    }

    /// Counts one more of something too big for a buffer of so many bytes, the largest of which is kept.
    #[inline]
    pub fn count_too_big(&self, counter: Counter, largest: Counter, size: u64) {
        self.count(counter);
        self.0[1 + largest as usize].fetch_max(size, Relaxed);
    }

    /// Counts one more answer of a protocol.
    #[inline]
    pub fn count_protocol(&self, protocol: Protocol) {
        self.0[1 + Counter::Protocols as usize + protocol as usize].fetch_add(1, Relaxed);
    }

    /// How many there were.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.0[1 + counter as usize].load(Relaxed)
    }

    /// How many answers there were of each protocol, in the order of [`Protocol::ALL`].
    pub fn protocols(&self) -> [u64; Protocol::ALL.len()] {
        Protocol::ALL.map(|protocol| {
            self.0[1 + Counter::Protocols as usize + protocol as usize].load(Relaxed)
        })
    }

    /// The histogram of a size.
    #[inline]
    pub fn sizes(&self, size: Size) -> Histogram<'a> {
        Histogram::of(self.0, 1 + COUNTERS + size as usize * histogram::WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(records: usize) -> Vec<Word> {
        (0..HEADER + records * RECORD).map(|_| Word::new(0)).collect()
    }

    #[test]
    fn a_record_stays_its_tags_until_it_is_not_kept() {
        let words = memory(2);
        let records = Records::create(&words).expect("room");
        assert_eq!(records.capacity(), 2);
        records.claim(7).expect("free").count(Counter::Requests);
        records.claim(8).expect("free").sizes(Size::GzipRatio).add(340);
        assert_eq!(records.claim(7).expect("its own").counted(Counter::Requests), 1);
        assert!(records.is_full() && records.claim(9).is_none() && records.find(9).is_none());

        let opened = Records::open(&words).expect("the same layout");
        opened.retain(|tag| tag != 8);
        assert!(!records.is_full() && records.find(8).is_none());
        let taken = opened.claim(9).expect("that of 8");
        assert_eq!(taken.sizes(Size::GzipRatio).read().count(), 0, "it is empty");
        assert_eq!(opened.claim(7).expect("its own").counted(Counter::Requests), 1);
        assert!(opened.claim(8).is_none());
    }

    #[test]
    fn counters_and_sizes_do_not_touch_each_other() {
        let words = memory(2);
        let records = Records::create(&words).expect("room");
        let record = records.claim(1).expect("free");
        let (count, largest) = (Counter::RequestHeaderTooBig, Counter::RequestHeaderTooBigFor);
        [4096, 8192, 1024].into_iter().for_each(|size| record.count_too_big(count, largest, size));
        Protocol::ALL.into_iter().for_each(|protocol| record.count_protocol(protocol));
        let sizes = [
            Size::RequestHeader,
            Size::RequestBody,
            Size::UpstreamHeader,
            Size::UpstreamResponse,
            Size::Response,
            Size::GzipRatio,
        ];
        for (value, size) in sizes.into_iter().enumerate() {
            record.sizes(size).add(value as u64);
            record.sizes(size).add(1 << 40);
        }
        assert_eq!((record.counted(count), record.counted(largest)), (3, 8192));
        assert_eq!(record.counted(Counter::UpstreamHeaderTooBigFor), 0);
        assert_eq!(record.protocols(), [1; Protocol::ALL.len()]);
        record.count(Counter::BufferedOtherwise);
        assert_eq!(record.counted(Counter::BufferedOtherwise), 1);
        assert_eq!(record.protocols(), [1; Protocol::ALL.len()]);
        for (value, size) in sizes.into_iter().enumerate() {
            let read = record.sizes(size).read();
            assert_eq!((read.count(), read.quantile(1)), (2, Some(value as u64)));
        }
        assert_eq!(records.claim(2).expect("free").tag(), 2, "the next is untouched");
    }

    #[test]
    fn what_is_too_small_or_not_ours_is_not_opened() {
        assert!(Records::create(&memory(0)).is_none());
        let words = memory(1);
        assert!(Records::open(&words).is_none());
        assert!(Records::create(&words).is_some());
        assert!(Records::open(&words[..words.len() - 1]).is_none());
    }
}
