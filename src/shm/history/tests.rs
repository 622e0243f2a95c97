use super::*;

fn words(series: usize) -> Vec<Word> {
    (0..HEADER + series * SERIES).map(|_| Word::new(0)).collect()
}

fn sample(kind: Kind, name: &str, value: u64) -> Sample<'_> {
    let values = std::array::from_fn(|column| value * 100 + column as u64);
    Sample { kind, name: name.as_bytes(), values }
}

fn take(history: &History<'_>, tick: u32, samples: &[Sample<'_>]) {
    assert!(history.begin(tick));
    history.write(tick, samples.iter().copied());
}

/// The name of each series, with the first value of each sample that it has.
fn told(history: &History<'_>) -> Vec<(String, Vec<u64>)> {
    let all = history.read().expect("memory");
    let told = all.iter().map(|series| {
        assert_eq!(series.samples.len(), SAMPLES);
        let samples = series.samples.iter().flatten();
        let first = samples.map(|values| {
            assert_eq!(values.len(), series.kind.columns().len());
            let of_one_time = values.iter().zip(values[0]..).all(|(one, other)| *one == other);
            assert!(of_one_time, "{values:?}");
            values[0] / 100
        });
        (String::from_utf8(series.name.clone()).expect("a name"), first.collect())
    });
    told.collect()
}

#[test]
fn the_last_samples_are_told() {
    let words = words(3);
    let history = History::create(&words).expect("enough");
    assert_eq!((history.last(), told(&history)), (0, vec![]));
    for tick in 1..=SAMPLES as u32 + 5 {
        let value = tick.into();
        let limit = sample(Kind::Limit, "a", value);
        let room = sample(Kind::Room, "a", value * 2);
        take(&history, tick, &[limit, room]);
    }
    let ticks = 6..=SAMPLES as u64 + 5;
    let doubled = ticks.clone().map(|value| value * 2).collect();
    let series = [("a".to_owned(), ticks.collect()), ("a".to_owned(), doubled)];
    assert_eq!(told(&history), series);
    assert_eq!(told(&History::open(&words).expect("ours")), series);
    assert_eq!(history.last(), SAMPLES as u32 + 5);
}

#[test]
fn a_tick_is_begun_once() {
    let words = words(1);
    let history = History::create(&words).expect("enough");
    assert!(history.begin(7));
    assert!(!history.begin(7), "somebody else has begun it");
    assert!(!history.begin(6), "it is over");
    assert!(history.begin(9));
}

#[test]
fn who_dies_costs_one_sample() {
    let words = words(1);
    let history = History::create(&words).expect("enough");
    take(&history, 1, &[sample(Kind::Limit, "a", 1)]);
    assert!(history.begin(2));
    // Of the third one half is written, over that of long before.
    take(&history, 3, &[sample(Kind::Limit, "a", 3)]);
    take(&history, 3 + SAMPLES as u32 - 1, &[sample(Kind::Limit, "a", 4)]);
    assert!(history.begin(3 + SAMPLES as u32));
    let of_third = &words[HEADER + 2 + NAME_WORDS + 3 * SAMPLE..][..SAMPLE];
    of_third[0].store(0, Relaxed);
    of_third[1].store(77, Relaxed);
    assert_eq!(told(&history), [("a".to_owned(), vec![4])]);
}

#[test]
fn series_that_are_gone_give_way() {
    let words = words(2);
    let history = History::create(&words).expect("enough");
    take(&history, 1, &[sample(Kind::Limit, "a", 1), sample(Kind::Limit, "b", 2)]);
    // There is no place for a third one while both are there.
    let [a, b, c] = ["a", "b", "c"].map(|name| sample(Kind::Limit, name, 3));
    take(&history, 2, &[c, a, b]);
    assert_eq!(told(&history).len(), 2);
    take(&history, 3, &[c, b]);
    let series = [("c".to_owned(), vec![3]), ("b".to_owned(), vec![2, 3, 3])];
    assert_eq!(told(&history), series, "nothing of the one before is taken for its own");
}

#[test]
fn who_was_held_up_writes_into_nobody_elses_series() {
    let words = words(1);
    let history = History::create(&words).expect("enough");
    let a = sample(Kind::Limit, "a", 1);
    take(&history, 1, &[a]);
    assert!(history.begin(2));
    let held_up = history.find(&a).expect("its series");
    take(&history, 3, &[sample(Kind::Limit, "b", 3)]);
    held_up.write(2, &a.values);
    assert_eq!(told(&history), [("b".to_owned(), vec![3])]);
    assert!(matches!(held_up.read(3), Ok(None)));
}

#[test]
fn names_are_kept_whole_or_not_at_all() {
    let words = words(2);
    let history = History::create(&words).expect("enough");
    let [longest, longer] = [NAME_MAX, NAME_MAX + 1].map(|length| "n".repeat(length));
    let samples = [&longer, &longest].map(|name| sample(Kind::Room, name, 1));
    take(&history, 1, &samples);
    assert_eq!(told(&history), [(longest, vec![1])]);
}

#[test]
fn foreign_memory_is_refused() {
    let words = words(2);
    assert!(History::open(&words).is_none());
    let history = History::create(&words).expect("enough");
    take(&history, 1, &[sample(Kind::Limit, "a", 1)]);
    history.panics().store(3, Relaxed);
    assert!(History::open(&words[1..]).is_none());
    assert!(History::open(&words[..words.len() - 1]).is_none(), "of another length");
    words[0].store(MAGIC + 1, Relaxed);
    assert!(History::open(&words).is_none(), "of another version");
    let history = History::create(&words).expect("enough");
    assert_eq!(history.panics().load(Relaxed), 0);
    assert_eq!((history.last(), told(&history)), (0, vec![]));
    assert!(History::create(&words[..HEADER - 1]).is_none());
}
