//! A conversation with a store that says anything, in pieces of any size: no answer is another
//! question's, or comes before the question has left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::flight::FlightId;
use ngx_http_smart_module::core::pipeline::{Answer, Asker, Broken, Pipeline};
use slotmap::SlotMap;

/// How many questions there are: `k0`, `k1`, ….
const QUESTIONS: usize = 8;

struct Crowd {
    flights: Vec<FlightId>,
    answers: Vec<(usize, Heard)>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Value(Vec<u8>),
    Other(String),
}

impl Crowd {
    fn number(&self, flight: FlightId) -> usize {
        self.flights.iter().position(|known| *known == flight).expect("a flight of ours")
    }
}

impl Asker for Crowd {
    fn has_asked(&self, flight: FlightId, key: &[u8]) -> bool {
        key == format!("k{}", self.number(flight)).as_bytes()
    }

    fn answered(&mut self, flight: FlightId, answer: Answer<'_>) {
        let heard = match answer {
            Answer::Value(data) => Heard::Value(data.to_vec()),
            other => Heard::Other(format!("{other:?}")),
        };
        self.answers.push((self.number(flight), heard));
    }
}

/// Asks some questions in one `get`, more in a second one and the rest without sending them, and
/// hears `said` in pieces of `piece` bytes.
fn converse(
    (first, second): (usize, usize),
    said: &[u8],
    piece: usize,
) -> (Vec<(usize, Heard)>, Result<(), Broken>) {
    let mut map: SlotMap<FlightId, ()> = SlotMap::with_key();
    let flights = (0..QUESTIONS).map(|_| map.insert(())).collect();
    let mut crowd = Crowd { flights, answers: Vec::new() };
    let mut pipeline = Pipeline::default();
    for number in 0..QUESTIONS {
        if number == first || number == second {
            pipeline.wrote(pipeline.unsent().len());
        }
        pipeline.ask(crowd.flights[number], 0, format!("k{number}").as_bytes(), 0);
    }
    let result = said.chunks(piece).try_for_each(|bytes| pipeline.hear(bytes, 0, &mut crowd));
    assert_eq!(pipeline.pending() + crowd.answers.len(), QUESTIONS);
    (crowd.answers, result)
}

fuzz_target!(|input: &[u8]| {
    let [first, more, piece, said @ ..] = input else { return };
    let first = 1 + usize::from(*first) % QUESTIONS;
    let second = (first + usize::from(*more) % QUESTIONS).min(QUESTIONS);
    let whole = converse((first, second), said, usize::MAX);
    assert_eq!(converse((first, second), said, 1 + usize::from(*piece)), whole);

    let mut numbers: Vec<_> = whole.0.iter().map(|(number, _)| *number).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), whole.0.len(), "one answer to one question");
    for (number, heard) in &whole.0 {
        assert!(*number < second, "an answer to what nobody could have heard");
        if let Heard::Value(data) = heard {
            assert!(says(said, *number, data), "{number} has got {}", data.escape_ascii());
        }
    }
});

/// Whether `data` has been said to be the value of this question's key.
fn says(said: &[u8], number: usize, data: &[u8]) -> bool {
    let header = format!("VALUE k{number} ");
    let value = [b"\r\n", data, b"\r\n"].concat();
    let mut headers =
        said.windows(header.len()).zip(0..).filter(|(text, _)| *text == header.as_bytes());
    headers.any(|(_, start)| {
        let line = &said[start..];
        let end = line.windows(2).position(|pair| pair == b"\r\n");
        end.is_some_and(|end| line[end..].starts_with(&value))
    })
}
