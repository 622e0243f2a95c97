//! What may happen in a room's history.

use proptest::prelude::*;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Somebody new comes, and comes back as he is told if he is faithful.
    Arrive { key: u8, network: u8, is_faithful: bool, is_old: bool },
    /// Somebody who was here before comes back over a limit, perhaps under another key.
    Again { who: u16, key: u8 },
    /// Somebody polls, whenever it may be.
    Poll { who: u16 },
    /// Somebody new takes a seat on his first visit.
    Seat { network: u8 },
    /// A request of somebody who may have a seat.
    Request { who: u16 },
    /// Time passes, and the faithful poll when they were told to.
    Pass { time: u16 },
    /// The next is seen by a worker whose clock is behind.
    Lag { time: u8 },
    /// Those who are absent are taken out.
    Sweep,
    /// An operator asks for somebody.
    Ask { who: u16 },
    /// An operator takes somebody out.
    Remove { who: u16 },
    /// A parameter changes.
    Change { parameter: u8, value: u16 },
}

/// How a history begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Kilobytes of memory.
    pub size: usize,
    /// Whether all hashes are alike: then all entries of an index are in one heap, at its end and its start.
    pub is_crowded: bool,
    /// A number for the rules.
    pub rules: u16,
}

/// What can happen, as often as it should.
pub fn step() -> impl Strategy<Value = Step> {
    let who = any::<u16>;
    prop_oneof![
        40 => (0..6_u8, 0..8_u8, any::<bool>(), 0..64_u8).prop_map(|(key, network, is_faithful, age)| {
            Step::Arrive { key, network, is_faithful, is_old: age == 0 }
        }),
        8 => (who(), 0..6_u8).prop_map(|(who, key)| Step::Again { who, key }),
        12 => who().prop_map(|who| Step::Poll { who }),
        6 => (0..8_u8).prop_map(|network| Step::Seat { network }),
        6 => who().prop_map(|who| Step::Request { who }),
        12 => (0..2_000_u16).prop_map(|time| Step::Pass { time }),
        4 => any::<u8>().prop_map(|time| Step::Lag { time }),
        2 => Just(Step::Sweep),
        4 => who().prop_map(|who| Step::Ask { who }),
        2 => who().prop_map(|who| Step::Remove { who }),
        1 => (any::<u8>(), any::<u16>()).prop_map(|(parameter, value)| Step::Change { parameter, value }),
    ]
}

/// How a history may begin.
pub fn start() -> impl Strategy<Value = Start> {
    (8..18_usize, any::<bool>(), any::<u16>()).prop_map(|(size, is_crowded, rules)| Start {
        size,
        is_crowded,
        rules,
    })
}

/// A mixture of bits, as a hash gives it (SplitMix64).
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
