use slotmap::SlotMap;

use super::*;

/// Flights numbered from 0 that ask for `k0`, `k1`, …, and the answers that they got.
struct Crowd {
    flights: Vec<FlightId>,
    answers: Vec<(usize, String)>,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let mut map: SlotMap<FlightId, ()> = SlotMap::with_key();
        Self { flights: (0..count).map(|_| map.insert(())).collect(), answers: Vec::new() }
    }

    fn ask(&self, pipeline: &mut Pipeline, numbers: Range<usize>) {
        for number in numbers {
            pipeline.ask(self.flights[number], 0, format!("k{number}").as_bytes(), 0);
        }
    }

    fn number(&self, flight: FlightId) -> usize {
        self.flights.iter().position(|known| *known == flight).unwrap()
    }
}

impl Asker for Crowd {
    fn has_asked(&self, flight: FlightId, key: &[u8]) -> bool {
        key == format!("k{}", self.number(flight)).as_bytes()
    }

    fn answered(&mut self, flight: FlightId, answer: Answer<'_>) {
        let text = match answer {
            Answer::Value(data) => format!("value {}", data.escape_ascii()),
            Answer::TooLarge(length) => format!("too large {length}"),
            Answer::Miss => "miss".into(),
            Answer::Error(text) => format!("error {}", text.escape_ascii()),
        };
        self.answers.push((self.number(flight), text));
    }
}

fn sent(pipeline: &mut Pipeline) -> String {
    let bytes = String::from_utf8(pipeline.unsent().to_vec()).unwrap();
    pipeline.wrote(bytes.len());
    bytes
}

#[test]
fn what_gathers_before_a_write_is_one_get() {
    let crowd = Crowd::new(5);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..3);
    assert_eq!(sent(&mut pipeline), "get k0 k1 k2\r\n");
    crowd.ask(&mut pipeline, 3..4);
    pipeline.ask(crowd.flights[4], 1, b"k3", 0);
    assert_eq!(sent(&mut pipeline), "get k3\r\nget k3\r\n", "another class may ask the same");
    assert_eq!(pipeline.pending(), 5);
}

#[test]
fn a_get_that_has_begun_to_leave_is_not_extended() {
    let crowd = Crowd::new(3);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..2);
    pipeline.wrote(5);
    crowd.ask(&mut pipeline, 2..3);
    assert_eq!(pipeline.unsent(), b"0 k1\r\nget k2\r\n");
}

#[test]
fn a_get_has_bounds() {
    let crowd = Crowd::new(65);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..65);
    assert!(sent(&mut pipeline).ends_with(" k63\r\nget k64\r\n"));
    for flight in &crowd.flights {
        pipeline.ask(*flight, 0, &[b'k'; 250], 0);
    }
    assert!(sent(&mut pipeline).lines().all(|line| line.len() as u64 <= BATCH_BYTES));
}

#[test]
fn answers_find_their_questions_however_they_are_cut() {
    let replies: &[u8] =
        b"VALUE k1 0 1\r\nx\r\nEND\r\nVALUE k4 0 2\r\nyz\r\nVALUE k3 0 0\r\n\r\nEND\r\n";
    for cut in 0..=replies.len() {
        let mut crowd = Crowd::new(6);
        let mut pipeline = Pipeline::default();
        crowd.ask(&mut pipeline, 0..2);
        sent(&mut pipeline);
        crowd.ask(&mut pipeline, 2..6);
        sent(&mut pipeline);
        let (head, tail) = replies.split_at(cut);
        assert_eq!(pipeline.hear(head, 1, &mut crowd), Ok(()));
        assert_eq!(pipeline.hear(tail, 1, &mut crowd), Ok(()));
        let expected =
            [(0, "miss"), (1, "value x"), (2, "miss"), (3, "value "), (4, "value yz"), (5, "miss")];
        let answers: Vec<_> = crowd.answers.iter().map(|(n, text)| (*n, text.as_str())).collect();
        assert_eq!(answers, expected, "cut at {cut}");
        assert!(pipeline.is_idle() && pipeline.pending() == 0);
    }
}

#[test]
fn a_value_that_nobody_asked_for_ends_the_conversation() {
    for reply in [
        "VALUE k7 0 1\r\nx\r\nEND\r\n",
        "VALUE k2 0 1\r\nx\r\nEND\r\n",
        "VALUE k1 0 1\r\nx\r\nVALUE k1 0 1\r\nx\r\nEND\r\n",
    ] {
        let mut crowd = Crowd::new(3);
        let mut pipeline = Pipeline::default();
        crowd.ask(&mut pipeline, 0..2);
        sent(&mut pipeline);
        crowd.ask(&mut pipeline, 2..3);
        assert_eq!(pipeline.hear(reply.as_bytes(), 1, &mut crowd), Err(Broken::WrongKey));
        assert_eq!((crowd.answers.len(), pipeline.abandon().count()), (0, 3), "{reply}");
    }
}

#[test]
fn nothing_counts_before_the_end_of_the_answer() {
    let mut crowd = Crowd::new(1);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..1);
    sent(&mut pipeline);
    assert_eq!(pipeline.hear(b"VALUE k0 0 1\r\nx\r\nEN", 1, &mut crowd), Ok(()));
    assert!(crowd.answers.is_empty());
    assert!(pipeline.hear(b"X", 1, &mut crowd).is_err());
    assert_eq!(pipeline.abandon().collect::<Vec<_>>(), crowd.flights);
    assert!(crowd.answers.is_empty());
}

#[test]
fn bytes_that_nobody_asked_for_end_it() {
    let mut crowd = Crowd::new(1);
    let mut pipeline = Pipeline::default();
    assert_eq!(pipeline.hear(b"END\r\n", 1, &mut crowd), Err(Broken::Unsolicited));
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..1);
    sent(&mut pipeline);
    assert_eq!(pipeline.hear(b"END\r\nEND\r\n", 1, &mut crowd), Err(Broken::Unsolicited));
    assert_eq!(crowd.answers.len(), 1);
}

#[test]
fn an_error_of_the_server_answers_what_is_open_and_no_more() {
    let mut crowd = Crowd::new(3);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..2);
    sent(&mut pipeline);
    crowd.ask(&mut pipeline, 2..3);
    sent(&mut pipeline);
    let reply = b"VALUE k0 0 1\r\nx\r\nSERVER_ERROR busy\r\nEND\r\n";
    assert_eq!(pipeline.hear(reply, 1, &mut crowd), Ok(()));
    let expected = [(0, "value x".into()), (1, "error busy".into()), (2, "miss".into())];
    assert_eq!(crowd.answers, expected);
}

#[test]
fn a_large_value_is_passed_over_in_pieces_and_its_neighbour_is_answered() {
    let mut crowd = Crowd::new(2);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..2);
    sent(&mut pipeline);
    assert_eq!(pipeline.hear(b"VALUE k0 0 100000\r\n", 1, &mut crowd), Ok(()));
    for _ in 0..100 {
        assert_eq!(pipeline.hear(&[b'x'; 1000], 1, &mut crowd), Ok(()));
    }
    assert!(!pipeline.is_idle());
    let rest = b"\r\nVALUE k1 0 1\r\ny\r\nEND\r\n";
    assert_eq!(pipeline.hear(rest, 1, &mut crowd), Ok(()));
    assert_eq!(crowd.answers, [(0, "too large 100000".into()), (1, "value y".into())]);
}

#[test]
fn an_endless_value_ends_the_conversation() {
    let mut crowd = Crowd::new(2);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..2);
    sent(&mut pipeline);
    let result = pipeline.hear(b"VALUE k0 0 20000000\r\n", 1, &mut crowd);
    assert_eq!((result, crowd.answers.len()), (Err(Broken::Endless), 0));
    assert_eq!(pipeline.abandon().collect::<Vec<_>>(), crowd.flights);
}

#[test]
fn silence_is_told_from_slowness() {
    let mut crowd = Crowd::new(2);
    let mut pipeline = Pipeline::default();
    assert_eq!(pipeline.silence(1_000), 0, "nothing is owed");
    crowd.ask(&mut pipeline, 0..1);
    sent(&mut pipeline);
    assert_eq!(pipeline.silence(100), 100);
    pipeline.ask(crowd.flights[1], 0, b"k1", 90);
    sent(&mut pipeline);
    assert_eq!(pipeline.silence(100), 100, "the oldest question counts");
    pipeline.hear(b"VAL", 95, &mut crowd).unwrap();
    assert_eq!(pipeline.silence(100), 5);
}

#[test]
fn what_has_not_left_has_no_answer() {
    let mut crowd = Crowd::new(3);
    let mut pipeline = Pipeline::default();
    crowd.ask(&mut pipeline, 0..1);
    sent(&mut pipeline);
    crowd.ask(&mut pipeline, 1..3);
    pipeline.wrote("get k1 k2\r".len());
    let said = b"VALUE k0 0 1\r\na\r\nEND\r\nVALUE k1 0 1\r\nb\r\nEND\r\n";
    assert_eq!(pipeline.hear(said, 0, &mut crowd), Err(Broken::Unsolicited));
    assert_eq!(crowd.answers, [(0, "value a".into())]);
    assert_eq!(pipeline.pending(), 2);
}
