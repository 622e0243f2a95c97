//! One connection's conversation with the store, without the socket.
//!
//! Requests leave in the order of [`Pipeline::ask`], as many in one write as have gathered, and
//! the store answers in that order. So the answer at the front belongs to the oldest question;
//! where it carries a key, the key must agree, or the conversation is out of step and over.

use std::collections::VecDeque;

use super::flight::FlightId;
use super::memcache::{encode_get, parse_get_reply, Parsed, ProtocolError, Reply};

/// A value that is too large to hold a path is skipped up to this length, so that its neighbours
/// keep their connection; a longer one ends the conversation. memcached's own default bound.
const SKIP_MAX: u64 = 1024 * 1024;

/// The bytes that follow a value: `\r\nEND\r\n`.
const TRAILER: u64 = 7;

struct Question {
    flight: FlightId,
    asked_at: u64,
}

/// Why a conversation must end.
#[derive(Debug, PartialEq)]
pub enum Broken {
    /// The store's bytes are none of its protocol.
    Protocol(ProtocolError),
    /// The answer is for another key than was asked for.
    WrongKey,
    /// Bytes came that nobody had asked for.
    Unsolicited,
    /// A value too long even to be skipped.
    Endless,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "invalid response: {error}"),
            Self::WrongKey => f.write_str("the value of another key"),
            Self::Unsolicited => f.write_str("unsolicited bytes"),
            Self::Endless => write!(f, "a value of more than {SKIP_MAX} bytes"),
        }
    }
}

/// Questions asked and not yet answered, and the bytes on their way.
#[derive(Default)]
pub struct Pipeline {
    questions: VecDeque<Question>,
    output: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    skip: u64,
    heard_at: u64,
}

impl Pipeline {
    /// Asks for `key` on behalf of `flight`. The bytes wait in [`Self::unsent`].
    pub fn ask(&mut self, flight: FlightId, key: &[u8], now: u64) {
        encode_get(key, &mut self.output);
        self.questions.push_back(Question {
            flight,
            asked_at: now,
        });
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
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }

    /// Whether the store has said nothing at all since `flight` was asked for here.
    pub fn silent_since(&self, flight: FlightId) -> bool {
        let question = self
            .questions
            .iter()
            .find(|question| question.flight == flight);
        question.is_some_and(|question| self.heard_at <= question.asked_at)
    }

    /// Takes bytes from the store and gives each whole answer to `answer`, with the flight that
    /// it is for. `answer` says whether the key, where there is one, is that flight's.
    ///
    /// # Errors
    /// The conversation is out of step; what was answered before holds, and the questions left
    /// are for [`Self::abandon`].
    pub fn hear(
        &mut self,
        bytes: &[u8],
        now: u64,
        mut answer: impl FnMut(FlightId, Reply<'_>) -> bool,
    ) -> Result<(), Broken> {
        self.heard_at = now;
        let mut rest = bytes;
        if self.input.is_empty() {
            let result = self.converse(&mut rest, &mut answer);
            self.input.extend_from_slice(rest);
            return result;
        }
        let mut gathered = std::mem::take(&mut self.input);
        gathered.extend_from_slice(bytes);
        rest = &gathered;
        let result = self.converse(&mut rest, &mut answer);
        let used = gathered.len().saturating_sub(rest.len());
        gathered.drain(..used);
        self.input = gathered;
        result
    }

    fn converse(
        &mut self,
        input: &mut &[u8],
        answer: &mut impl FnMut(FlightId, Reply<'_>) -> bool,
    ) -> Result<(), Broken> {
        loop {
            self.pass_over(input);
            if input.is_empty() {
                return Ok(());
            }
            let flight = self.questions.front().ok_or(Broken::Unsolicited)?.flight;
            let (reply, consumed) = match parse_get_reply(input) {
                Parsed::Partial => return Ok(()),
                Parsed::Complete { reply, consumed } => (reply, consumed),
                Parsed::Invalid(error) => return Err(Broken::Protocol(error)),
            };
            if let Reply::TooLarge { length, .. } = reply {
                self.skip = length.saturating_add(TRAILER);
            }
            if !answer(flight, reply) {
                return Err(Broken::WrongKey);
            }
            self.questions.pop_front();
            *input = input.get(consumed..).unwrap_or(&[]);
            if self.skip > SKIP_MAX {
                return Err(Broken::Endless);
            }
        }
    }

    fn pass_over(&mut self, input: &mut &[u8]) {
        let length = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(input.len());
        *input = input.get(length..).unwrap_or(&[]);
        self.skip = self.skip.saturating_sub(length as u64);
    }

    /// Whether the store owes the rest of something: an answer, or a value that is being skipped.
    pub fn is_idle(&self) -> bool {
        self.questions.is_empty() && self.skip == 0
    }

    /// Ends the conversation: the flights that were still without an answer, oldest first.
    pub fn abandon(&mut self) -> impl Iterator<Item = FlightId> {
        std::mem::take(self)
            .questions
            .into_iter()
            .map(|question| question.flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn flights(count: usize) -> Vec<FlightId> {
        let mut map: SlotMap<FlightId, ()> = SlotMap::with_key();
        (0..count).map(|_| map.insert(())).collect()
    }

    fn heard(
        pipeline: &mut Pipeline,
        bytes: &[u8],
    ) -> (Vec<(FlightId, String)>, Result<(), Broken>) {
        let mut answers = Vec::new();
        let result = pipeline.hear(bytes, 1, |flight, reply| {
            answers.push((flight, format!("{reply:?}")));
            !matches!(reply, Reply::Value { key, .. } if key == b"wrong")
        });
        (answers, result)
    }

    #[test]
    fn questions_gather_and_answers_come_in_order_however_they_are_cut() {
        let ids = flights(3);
        let replies: &[u8] = b"VALUE a 0 1\r\nx\r\nEND\r\nEND\r\nVALUE c 0 2\r\nyz\r\nEND\r\n";
        for cut in 0..=replies.len() {
            let mut pipeline = Pipeline::default();
            for (id, key) in ids.iter().zip([b"a", b"b", b"c"]) {
                pipeline.ask(*id, key, 0);
            }
            assert_eq!(pipeline.unsent(), b"get a\r\nget b\r\nget c\r\n");
            pipeline.wrote(5);
            assert_eq!(pipeline.unsent(), b"\r\nget b\r\nget c\r\n");
            pipeline.wrote(16);
            assert_eq!(pipeline.unsent(), b"");
            let (head, tail) = replies.split_at(cut);
            let (mut answers, first) = heard(&mut pipeline, head);
            let (more, second) = heard(&mut pipeline, tail);
            answers.extend(more);
            assert_eq!((first, second), (Ok(()), Ok(())));
            let order: Vec<_> = answers.iter().map(|(id, _)| *id).collect();
            assert_eq!(order, ids, "cut at {cut}");
            assert!(pipeline.is_idle());
        }
    }

    #[test]
    fn a_wrong_key_ends_the_conversation_and_its_question_stays_open() {
        let ids = flights(2);
        let mut pipeline = Pipeline::default();
        pipeline.ask(ids[0], b"a", 0);
        pipeline.ask(ids[1], b"b", 0);
        let (_, result) = heard(&mut pipeline, b"VALUE wrong 0 1\r\nx\r\nEND\r\n");
        assert_eq!(result, Err(Broken::WrongKey));
        assert_eq!(pipeline.abandon().collect::<Vec<_>>(), ids);
    }

    #[test]
    fn bytes_that_nobody_asked_for_end_it() {
        let mut pipeline = Pipeline::default();
        assert_eq!(heard(&mut pipeline, b"END\r\n").1, Err(Broken::Unsolicited));
        let ids = flights(1);
        pipeline.ask(ids[0], b"a", 0);
        let (answers, result) = heard(&mut pipeline, b"END\r\nEND\r\n");
        assert_eq!((answers.len(), result), (1, Err(Broken::Unsolicited)));
    }

    #[test]
    fn a_large_value_is_passed_over_in_pieces_and_its_neighbour_is_answered() {
        let ids = flights(2);
        let mut pipeline = Pipeline::default();
        pipeline.ask(ids[0], b"a", 0);
        pipeline.ask(ids[1], b"b", 0);
        let (answers, _) = heard(&mut pipeline, b"VALUE a 0 100000\r\n");
        assert!(answers[0].1.starts_with("TooLarge"));
        for _ in 0..100 {
            assert_eq!(heard(&mut pipeline, &[b'x'; 1000]), (vec![], Ok(())));
        }
        let (answers, result) = heard(&mut pipeline, b"\r\nEND\r\nEND\r\n");
        assert_eq!((answers.len(), answers[0].0, result), (1, ids[1], Ok(())));
    }

    #[test]
    fn an_endless_value_ends_the_conversation_after_its_answer() {
        let ids = flights(2);
        let mut pipeline = Pipeline::default();
        pipeline.ask(ids[0], b"a", 0);
        pipeline.ask(ids[1], b"b", 0);
        let (answers, result) = heard(&mut pipeline, b"VALUE a 0 20000000\r\n");
        assert_eq!((answers.len(), result), (1, Err(Broken::Endless)));
        assert_eq!(pipeline.abandon().collect::<Vec<_>>(), [ids[1]]);
    }

    #[test]
    fn silence_is_told_from_slowness() {
        let ids = flights(2);
        let mut pipeline = Pipeline::default();
        pipeline.ask(ids[0], b"a", 0);
        pipeline.ask(ids[1], b"b", 5);
        assert!(pipeline.silent_since(ids[0]));
        pipeline.hear(b"VAL", 3, |_, _| true).unwrap();
        assert!(!pipeline.silent_since(ids[0]) && pipeline.silent_since(ids[1]));
    }
}
