//! `smart_limit_room`: the room's memory as a zone of nginx, and what its directive says of it.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::ptr;

use nginx_sys::{ngx_str_t, NGX_LOG_ALERT};

use crate::core::room::rules::Rules;
use crate::core::token::Keys;
use crate::nginx::log::Log;
use crate::nginx::zone::{self, Shared};
use crate::nginx::{now, random_words, time_of_day};
use crate::shm::room::{Birth, Room, Section};
use crate::shm::Word;

/// A zone of a room.
pub type RoomZone = zone::Zone<Room<'static>>;

/// What the directive says.
pub struct Settings {
    /// The parameters.
    pub rules: Rules,
    /// How long a token lives, in seconds.
    pub token: u64,
    /// What its tokens are signed with, once the configuration is accepted.
    pub keys: OnceCell<Keys>,
}

/// Works in a room, under its lock. `None`: its memory is not mapped.
pub fn within<T>(
    zone: &RoomZone,
    work: impl FnOnce(&'static Room<'static>, &Section) -> T,
) -> Option<T> {
    zone.exclusively(|room| work(room, &room.enter(now())))
}

/// Lets what the directive says hold from now on, for the workers of the configuration before too. The master
/// does it, which must not wait for the lock: it opens that of a worker that has died, but hears of no death here.
/// `keys`: what files say that tokens are signed with.
pub fn take_effect(zone: &RoomZone, keys: Option<&Keys>) {
    let (Some(room), Some(settings)) = (zone.get(), zone.settings()) else { return };
    room.install(&settings.rules);
    let own = room.signing_key();
    let keys = match keys.cloned() {
        // Nobody loses his place when the first file is named.
        Some(mut keys) => keys.add(&own).map(|()| keys),
        None => Keys::new(&own),
    };
    match keys {
        Ok(keys) => settings.keys.set(keys).unwrap_or_default(),
        Err(error) => Log::cycle().write(NGX_LOG_ALERT, format_args!("{error}")),
    }
}

impl Shared for Room<'static> {
    const DIRECTIVE: &'static str = "smart_limit_room";
    type Settings = Settings;

    fn tag() -> *mut c_void {
        static TAG: u8 = 0;
        ptr::from_ref(&TAG).cast_mut().cast()
    }

    fn create(words: &'static [Word]) -> Option<Self> {
        let birth = Birth {
            secret: random_words()?,
            signing: random_words()?,
            wall: time_of_day(),
            now: now(),
        };
        Room::create(words, &birth)
    }

    fn open(words: &'static [Word]) -> Option<Self> {
        Room::open(words)
    }

    fn fits(&self, name: &ngx_str_t, Settings { rules, .. }: &Settings) -> Result<(), String> {
        let check = |parameter: &str, number: u32, most: usize| {
            if usize::try_from(number).is_ok_and(|number| number <= most) {
                return Ok(());
            }
            Err(format!(
                "\"{parameter}={number}\" does not fit in room \"{name}\": its size holds at most \
                 {most}"
            ))
        };
        check("max_active", rules.max_active, self.seats())?;
        rules.max_waiting.map_or(Ok(()), |number| check("max_waiting", number, self.capacity()))
    }
}
