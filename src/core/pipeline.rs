//! One connection's conversation with the store, without the socket.
//!
//! Questions that gather before they can be written leave as one `get` of several keys, which
//! the server answers at once. Answers to several `get`s come in the order of asking; within one, a value names
//! the key that it is for. A value that nobody has asked for means that the conversation is out
//! of step, and over; so nothing of an answer counts before its end has been seen.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use super::flight::FlightId;
use super::key;
use super::memcache::{encode_get, extend_get, parse_get_reply, Parsed, ProtocolError, Reply};
use super::NoMemory;

/// The most keys of one `get`. More do not make it cheaper, and the server answers sooner.
const BATCH_KEYS: usize = 64;

/// The most bytes of one `get`; some servers and proxies refuse longer lines.
const BATCH_BYTES: u64 = 8 * 1024;

/// The most bytes of a question: `get`, a space, the key, a line end.
const QUESTION_BYTES: usize = key::MAX_LEN + 6;

/// A value that is too large to hold a path is skipped up to this length, so that its neighbours
/// keep their connection; a longer one ends the conversation. memcached's own default bound.
const SKIP_MAX: u64 = 1024 * 1024;

/// The bytes that end a value: `\r\n`.
const TRAILER: u64 = 2;

/// The store's answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The stored bytes.
    Value(&'a [u8]),
    /// So many bytes are stored: more than any path has.
    TooLarge(u64),
    /// Nothing is stored.
    Miss,
    /// The server could not answer, and says this.
    Error(&'a [u8]),
}

/// Who asks the questions.
pub trait Asker {
    /// Whether `key` is what a flight has asked for.
    fn has_asked(&self, flight: FlightId, key: &[u8]) -> bool;
    /// Takes the answer to a flight's question.
    fn answered(&mut self, flight: FlightId, answer: Answer<'_>);
}

/// Why a conversation must end.
#[derive(Debug, PartialEq)]
pub enum Broken {
    /// The store's bytes are none of its protocol.
    Protocol(ProtocolError),
    /// A value is for a key that was not asked for, or twice for the same question.
    WrongKey,
    /// Bytes came that nobody had asked for, or not yet.
    Unsolicited,
    /// A value too long even to be skipped.
    Endless,
    /// There is no memory for the beginning of an answer.
    NoMemory,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "invalid response: {error}"),
            Self::WrongKey => f.write_str("the value of another key"),
            Self::Unsolicited => f.write_str("unsolicited bytes"),
            Self::NoMemory => f.write_str("an answer that there is no memory for"),
            Self::Endless => write!(f, "a value of more than {SKIP_MAX} bytes"),
        }
    }
}

struct Question {
    flight: FlightId,
    asked_at: u64,
    found: Option<Found>,
}

/// A value for a question, until the whole answer is there.
enum Found {
    /// Where it lies in [`Pipeline::values`].
    Kept(Range<usize>),
    /// So many bytes, which have been passed over.
    TooLarge(u64),
}

/// The questions of one `get`.
struct Batch {
    length: usize,
    /// Its keys are distinct: flights of one class never ask for the same key.
    class: usize,
    /// Where it lies among all bytes ever to be written here.
    place: Range<u64>,
}

/// Questions asked and not yet answered, and the bytes on their way.
#[derive(Default)]
pub struct Pipeline {
    questions: VecDeque<Question>,
    batches: VecDeque<Batch>,
    /// Where in the front batch the next value is expected: servers answer in order.
    expected: usize,
    /// The values of the front batch so far.
    values: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output has left.
    sent: usize,
    /// How many bytes have left, ever.
    gone: u64,
    input: Vec<u8>,
    skip: u64,
    heard_at: u64,
}

impl Pipeline {
    /// Makes room for one more question, so that asking it allocates nothing.
    ///
    /// # Errors
    /// There is no memory.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        self.questions.try_reserve(1).map_err(|_| NoMemory)?;
        self.batches.try_reserve(1).map_err(|_| NoMemory)?;
        self.output.try_reserve(QUESTION_BYTES).map_err(|_| NoMemory)
    }

    /// Asks for `key` on behalf of `flight`. The bytes wait in [`Self::unsent`].
    pub fn ask(&mut self, flight: FlightId, class: usize, key: &[u8], now: u64) {
        self.questions.push_back(Question { flight, asked_at: now, found: None });
        let start = self.gone.saturating_add(self.unsent().len() as u64);
        if let Some(batch) = self.batches.back_mut() {
            let end = batch.place.end.saturating_add(key.len() as u64).saturating_add(1);
            let is_unsent = batch.place.start >= self.gone;
            let has_room =
                batch.length < BATCH_KEYS && end.saturating_sub(batch.place.start) <= BATCH_BYTES;
            if is_unsent && has_room && batch.class == class {
                batch.length = batch.length.saturating_add(1);
                batch.place.end = end;
                return extend_get(key, &mut self.output);
            }
        }
        encode_get(key, &mut self.output);
        let end = self.gone.saturating_add(self.unsent().len() as u64);
        self.batches.push_back(Batch { length: 1, class, place: start..end });
    }

    /// How many questions have no answer yet.
    pub fn pending(&self) -> usize {
        self.questions.len()
    }

    /// What is to be written.
    pub fn unsent(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or(&[])
    }

    /// Takes note that the first `length` bytes of [`Self::unsent`] have been written.
    pub fn wrote(&mut self, length: usize) {
        self.sent = self.sent.saturating_add(length);
        self.gone = self.gone.saturating_add(length as u64);
        // What has left makes room when it is most of it, so that each byte moves but once or twice.
        if self.sent >= self.output.len().saturating_sub(self.sent) {
            self.output.drain(..self.sent.min(self.output.len()));
            self.sent = 0;
        }
    }

    /// For how many milliseconds the store has owed an answer and said nothing.
    pub fn silence(&self, now: u64) -> u64 {
        let oldest = self.questions.front().map_or(now, |question| question.asked_at);
        now.saturating_sub(oldest.max(self.heard_at))
    }

    /// Whether the store owes nothing: no answer, and no rest of a value that is being skipped.
    pub fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.skip == 0
    }

    /// Ends the conversation: the flights that were still without an answer, oldest first.
    pub fn abandon(&mut self) -> impl Iterator<Item = FlightId> {
        std::mem::take(self).questions.into_iter().map(|question| question.flight)
    }

    /// Takes bytes from the store and hands the answers to `asker`.
    ///
    /// # Errors
    /// The conversation is out of step; what was answered before holds, and the questions left
    /// are for [`Self::abandon`].
    pub fn hear(&mut self, bytes: &[u8], now: u64, asker: &mut impl Asker) -> Result<(), Broken> {
        self.heard_at = now;
        let mut rest = bytes;
        if self.input.is_empty() {
            let result = self.converse(&mut rest, asker);
            self.input.try_reserve(rest.len()).map_err(|_| Broken::NoMemory)?;
            self.input.extend_from_slice(rest);
            return result;
        }
        self.input.try_reserve(bytes.len()).map_err(|_| Broken::NoMemory)?;
        let mut gathered = std::mem::take(&mut self.input);
        gathered.extend_from_slice(bytes);
        rest = &gathered;
        let result = self.converse(&mut rest, asker);
        let used = gathered.len().saturating_sub(rest.len());
        gathered.drain(..used);
        self.input = gathered;
        result
    }

    fn converse(&mut self, input: &mut &[u8], asker: &mut impl Asker) -> Result<(), Broken> {
        loop {
            self.pass_over(input);
            if self.skip > 0 || input.is_empty() {
                return Ok(());
            }
            if self.batches.front().is_none_or(|batch| batch.place.end > self.gone) {
                return Err(Broken::Unsolicited);
            }
            let consumed = match parse_get_reply(input) {
                Parsed::Partial => return Ok(()),
                Parsed::Invalid(error) => return Err(Broken::Protocol(error)),
                Parsed::Complete { reply, consumed } => {
                    self.take(reply, asker)?;
                    consumed
                }
            };
            *input = input.get(consumed..).unwrap_or(&[]);
        }
    }

    fn pass_over(&mut self, input: &mut &[u8]) {
        let length = usize::try_from(self.skip).unwrap_or(usize::MAX).min(input.len());
        *input = input.get(length..).unwrap_or(&[]);
        self.skip = self.skip.saturating_sub(length as u64);
    }

    fn take(&mut self, reply: Reply<'_>, asker: &mut impl Asker) -> Result<(), Broken> {
        match reply {
            Reply::Value { key, data } => {
                let start = self.values.len();
                self.values.try_reserve(data.len()).map_err(|_| Broken::NoMemory)?;
                self.values.extend_from_slice(data);
                self.find(key, Found::Kept(start..self.values.len()), asker)
            }
            Reply::TooLarge { length, .. } if length > SKIP_MAX => Err(Broken::Endless),
            Reply::TooLarge { key, length } => {
                self.skip = length.saturating_add(TRAILER);
                self.find(key, Found::TooLarge(length), asker)
            }
            Reply::End => {
                self.close_batch(Answer::Miss, asker);
                Ok(())
            }
            Reply::ServerError(text) => {
                self.close_batch(Answer::Error(text), asker);
                Ok(())
            }
        }
    }

    /// Notes a value for the question of the front batch that asked for `key`.
    fn find(&mut self, key: &[u8], found: Found, asker: &impl Asker) -> Result<(), Broken> {
        let length = self.batches.front().map_or(0, |batch| batch.length);
        let asked = |place: &usize| {
            let question = self.questions.get(*place);
            question.is_some_and(|q| q.found.is_none() && asker.has_asked(q.flight, key))
        };
        let mut places = (self.expected..length).chain(0..self.expected);
        let place = places.find(asked).ok_or(Broken::WrongKey)?;
        self.expected = place.saturating_add(1);
        if let Some(question) = self.questions.get_mut(place) {
            question.found = Some(found);
        }
        Ok(())
    }

    /// Hands on the answers of the front batch: what was found, and `otherwise` for the rest.
    fn close_batch(&mut self, otherwise: Answer<'_>, asker: &mut impl Asker) {
        let length = self.batches.pop_front().map_or(0, |batch| batch.length);
        self.expected = 0;
        for question in self.questions.drain(..length.min(self.questions.len())) {
            let answer = match question.found {
                Some(Found::Kept(range)) => {
                    Answer::Value(self.values.get(range).unwrap_or_default())
                }
                Some(Found::TooLarge(length)) => Answer::TooLarge(length),
                None => otherwise,
            };
            asker.answered(question.flight, answer);
        }
        self.values.clear();
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
