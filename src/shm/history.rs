//! The last minutes: what was counted at regular times, series by series; and beside it what else the status
//! interface keeps for all processes. In words: a header of 8 (magic and version, length, the last tick, the
//! generations given, the panics), and the series.
//!
//! Time is divided into ticks, and of each there is one sample of every series, which whoever first moves the tick
//! on takes. If it dies before it is done, the samples that it has not written are missing, and nothing else.

#[cfg(test)]
mod tests;

use std::sync::atomic::fence;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::core::report::{Kind, Series};
use crate::core::NoMemory;
use crate::shm::{self, packed, unpacked, Word};

/// How many samples of a series are kept.
pub const SAMPLES: usize = 180;

/// The most values of a sample.
pub const VALUES: usize = 16;

/// The most bytes of a series' name. One that has more is not kept.
pub const NAME_MAX: usize = 128;

/// "smartHI" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"smartHI\x01");

const HEADER: usize = 8;

/// Words of a series: who it is, its last tick, its name, its samples.
const SERIES: usize = 2 + NAME_WORDS + SAMPLES * SAMPLE;
const NAME_WORDS: usize = NAME_MAX / size_of::<Word>();
/// A sample is its stamp and its values.
const SAMPLE: usize = 1 + VALUES;

const KINDS: [Kind; 4] = [Kind::Sendfile, Kind::Limit, Kind::Room, Kind::Module];

/// The history over its words.
#[derive(Clone, Copy)]
pub struct History<'a> {
    header: &'a [Word],
    series: &'a [Word],
}

/// The values of a series at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What the series is of.
    pub kind: Kind,
    /// The name of its zone.
    pub name: &'a [u8],
    /// The values: the first ones, as many as the kind has columns, and zeros.
    pub values: [u64; VALUES],
}

impl<'a> History<'a> {
    /// Formats `words` as an empty history. `None`: there are too few.
    pub fn create(words: &'a [Word]) -> Option<Self> {
        words.get(..HEADER)?;
        shm::clear(words, HEADER);
        shm::seal(words, MAGIC);
        Self::open(words)
    }

    /// The history that [`Self::create`] has made of `words`. `None`: these words are none of this layout and size.
    pub fn open(words: &'a [Word]) -> Option<Self> {
        let (header, series) = words.split_at_checked(HEADER)?;
        shm::is_sealed(words, MAGIC).then_some(Self { header, series })
    }

    fn last_tick(&self) -> &'a Word {
        &self.header[2]
    }

    fn generations(&self) -> &'a Word {
        &self.header[3]
    }

    /// The panics that all processes have caught.
    pub fn panics(&self) -> &'a Word {
        &self.header[4]
    }

    fn slots(&self) -> impl Iterator<Item = Slot<'a>> {
        self.series.chunks_exact(SERIES).map(Slot)
    }

    /// Whether the caller is the one who takes the samples of a tick: it is the first one to ask, and no later tick
    /// has begun. Ticks count from 1.
    pub fn begin(&self, tick: u32) -> bool {
        let last = self.last_tick().load(Relaxed);
        let tick = u64::from(tick);
        tick > last && self.last_tick().compare_exchange(last, tick, AcqRel, Relaxed).is_ok()
    }

    /// Writes the samples of a tick that the caller has begun. A series that has no place yet gets a free one, or
    /// that of the series that was left out longest, and of this tick too.
    pub fn write<'s>(&self, tick: u32, samples: impl Iterator<Item = Sample<'s>> + Clone) {
        let samples = samples.filter(|sample| sample.name.len() <= NAME_MAX);
        for sample in samples.clone() {
            if let Some(series) = self.find(&sample) {
                series.write(tick, &sample.values);
            }
        }
        for sample in samples {
            let is_there = self.find(&sample).is_some();
            if let Some(series) = (!is_there).then(|| self.claim(tick, &sample)).flatten() {
                series.write(tick, &sample.values);
            }
        }
    }

    fn find(&self, sample: &Sample<'_>) -> Option<Owned<'a>> {
        self.slots().filter_map(Slot::owned).find(|series| series.is_of(sample))
    }

    fn claim(&self, tick: u32, sample: &Sample<'_>) -> Option<Owned<'a>> {
        let slot = self.slots().min_by_key(|slot| slot.last().load(Relaxed))?;
        if slot.last().load(Relaxed) >= u64::from(tick) {
            return None;
        }
        let generation = self.generations().fetch_add(1, Relaxed).wrapping_add(1);
        slot.become_that_of(sample, generation)
    }

    /// The last tick of which samples were taken; 0 before the first.
    pub fn last(&self) -> u32 {
        self.last_tick().load(Acquire) as u32
    }

    /// All series that have a sample, each with those of as many ticks as are kept, up to the last one. What is
    /// being written meanwhile is told whole or not at all.
    ///
    /// # Errors
    /// There is no memory.
    pub fn read(&self) -> Result<Vec<Series>, NoMemory> {
        let last = self.last();
        let mut all = Vec::new();
        for series in self.slots().filter_map(Slot::owned).filter(|series| series.is_kept(last)) {
            if let Some(series) = series.read(last)? {
                all.try_reserve(1).map_err(|_| NoMemory)?;
                all.push(series);
            }
        }
        Ok(all)
    }
}

/// The memory of a series.
#[derive(Clone, Copy)]
struct Slot<'a>(&'a [Word]);

impl<'a> Slot<'a> {
    /// Whose it is: the generation, which no other series has had, the kind, and the length of the name. It is 0 where
    /// it is nobody's, and while the name changes.
    fn identity(self) -> &'a Word {
        &self.0[0]
    }

    /// The last tick of which it has a sample; 0 if it has none.
    fn last(self) -> &'a Word {
        &self.0[1]
    }

    fn name(self) -> &'a [Word] {
        &self.0[2..2 + NAME_WORDS]
    }

    fn sample(self, tick: u32) -> &'a [Word] {
        &self.0[2 + NAME_WORDS + tick as usize % SAMPLES * SAMPLE..][..SAMPLE]
    }

    fn owned(self) -> Option<Owned<'a>> {
        let identity = self.identity().load(Acquire);
        (identity != 0).then_some(Owned { slot: self, identity })
    }

    fn become_that_of(self, sample: &Sample<'_>, generation: u64) -> Option<Owned<'a>> {
        self.identity().store(0, Relaxed);
        fence(Release);
        self.last().store(0, Relaxed);
        let name = self.name().iter().zip(packed(sample.name));
        name.for_each(|(word, part)| word.store(part, Relaxed));
        self.identity().store(generation << GENERATION | who(sample), Release);
        self.owned()
    }
}

/// The bits of an identity below its generation.
const GENERATION: u32 = 32;

/// The identity of a series but for its generation.
fn who(sample: &Sample<'_>) -> u64 {
    let kind = KINDS.iter().position(|kind| *kind == sample.kind).unwrap_or_default();
    (kind << 8 | sample.name.len()) as u64
}

/// A series, by the identity that it had when it was looked at. Whoever was held up so long that it belongs to another
/// one now writes what the other one does not take for its own, and reads nothing.
#[derive(Clone, Copy)]
struct Owned<'a> {
    slot: Slot<'a>,
    identity: u64,
}

impl Owned<'_> {
    fn is_of(&self, sample: &Sample<'_>) -> bool {
        let mut name = self.slot.name().iter().zip(packed(sample.name));
        self.identity & ((1 << GENERATION) - 1) == who(sample)
            && name.all(|(word, part)| word.load(Relaxed) == part)
    }

    /// Whether one of its samples is among those that are told.
    fn is_kept(&self, last: u32) -> bool {
        let own = self.slot.last().load(Relaxed);
        own > 0 && own + SAMPLES as u64 > u64::from(last)
    }

    /// What a sample of this series and of a tick has, and no other.
    fn stamp(&self, tick: u32) -> u64 {
        self.identity >> GENERATION << GENERATION | u64::from(tick)
    }

    fn write(&self, tick: u32, values: &[u64; VALUES]) {
        if let [stamp, words @ ..] = self.slot.sample(tick) {
            stamp.store(0, Relaxed);
            fence(Release);
            words.iter().zip(values).for_each(|(word, value)| word.store(*value, Relaxed));
            stamp.store(self.stamp(tick), Release);
            self.slot.last().fetch_max(u64::from(tick), Relaxed);
        }
    }

    /// `None`: it has become another one meanwhile.
    fn read(&self, last: u32) -> Result<Option<Series>, NoMemory> {
        let Some(&kind) = KINDS.get(self.identity as usize >> 8 & 0xff) else { return Ok(None) };
        let mut name = Vec::new();
        name.try_reserve_exact(NAME_MAX).map_err(|_| NoMemory)?;
        name.extend(unpacked(self.slot.name()));
        name.truncate(self.identity as usize & 0xff);
        let mut samples = Vec::new();
        samples.try_reserve_exact(SAMPLES).map_err(|_| NoMemory)?;
        for age in (0..SAMPLES as u32).rev() {
            let tick = last.checked_sub(age).filter(|tick| *tick > 0);
            samples.push(match tick {
                Some(tick) => self.read_sample(tick, kind.columns().len())?,
                None => None,
            });
        }
        fence(Acquire);
        let is_same = self.slot.identity().load(Relaxed) == self.identity;
        Ok(is_same.then_some(Series { kind, name, samples }))
    }

    /// `None`: there is none of this tick.
    fn read_sample(&self, tick: u32, count: usize) -> Result<Option<Vec<u64>>, NoMemory> {
        let [stamp, words @ ..] = self.slot.sample(tick) else { return Ok(None) };
        if stamp.load(Acquire) != self.stamp(tick) {
            return Ok(None);
        }
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| NoMemory)?;
        values.extend(words.iter().take(count).map(|word| word.load(Relaxed)));
        fence(Acquire);
        Ok((stamp.load(Relaxed) == self.stamp(tick)).then_some(values))
    }
}
