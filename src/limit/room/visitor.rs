//! Who makes a request: whether he brings a token, and what he can be answered with.

use std::cell::OnceCell;
use std::hash::{BuildHasher, RandomState};

use super::conf::{RoomConf, Secure};
use super::zone::{self, Settings};
use crate::core::cookie::{find, Cookie, Found, SameSite};
use crate::core::room::accept::{self, Wanted};
use crate::core::token::{Keys, Nonce, Session, Token};
use crate::core::NoMemory;
use crate::limit::conf::LocationConf;
use crate::limit::directives::Module;
use crate::nginx::request::Request;
use crate::nginx::{now, random, time_of_day};
use crate::shm::room::{Room, Section, Visit};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For somebody, who can wait.
    Visit,
    /// For a part of a page: it cannot wait by itself.
    Resource,
    /// For a part of an answer.
    Subrequest,
}

/// Who makes a request.
pub struct Visitor {
    pub r: Request,
    pub conf: &'static LocationConf,
    pub room: RoomConf,
    pub settings: &'static Settings,
    pub kind: Kind,
    pub token: Option<Token>,
    /// Whether the token has just been made.
    is_new: bool,
    wanted: OnceCell<Wanted>,
    keys: &'static Keys,
}

impl Visitor {
    /// Who makes a request, if its location has a room.
    pub fn of(r: Request) -> Option<Self> {
        let conf = r.location_conf::<Module>();
        let room = conf.room?;
        let settings = room.zone.settings()?;
        let keys = settings.keys.get()?;
        let mut visitor = Self {
            r,
            conf,
            room,
            settings,
            kind: kind_of(r),
            token: None,
            is_new: false,
            wanted: OnceCell::new(),
            keys,
        };
        visitor.token = visitor.read_token();
        Some(visitor)
    }

    /// In what form he wants to be answered.
    pub fn wanted(&self) -> Wanted {
        *self.wanted.get_or_init(|| Wanted::from_accept(self.r.headers(b"accept")))
    }

    /// Whether it is the room that is asked, and never the application.
    pub fn asks_room(&self) -> bool {
        self.kind == Kind::Visit && asks_room(self.r)
    }

    /// His session, if he has a token.
    pub fn session(&self) -> Option<Session> {
        self.token.map(|token| Session::of(&token.nonce()))
    }

    /// Whether he has brought no token because he has none. A browser keeps the cookie back from what another
    /// site makes it send, by `SameSite`; a new one would then take the place of one that is still good.
    pub fn may_be_given_token(&self) -> bool {
        let is_cross_site = self.r.headers(b"sec-fetch-site").any(|site| site == b"cross-site");
        let keeps_back = match self.conf.cookie().same_site {
            SameSite::Strict => true,
            SameSite::Lax => !self.r.is_get_or_head(),
            SameSite::None => false,
        };
        self.token.is_none() && !(is_cross_site && keeps_back)
    }

    /// Gives him a token.
    pub fn welcome(&mut self) -> Result<Session, NoMemory> {
        let nonce = Nonce(random().ok_or(NoMemory)?);
        self.token = Some(Token::new(nonce, time_of_day(), self.settings.token));
        self.is_new = true;
        Ok(Session::of(&nonce))
    }

    /// His token, if it is new, or with a new life, if less than half is left of the old one.
    pub fn token_to_send(&self) -> Option<Token> {
        let now = time_of_day();
        match self.token {
            Some(token) if self.is_new => Some(token),
            Some(token) if token.is_half_over(now) => Some(token.renewed(now, self.settings.token)),
            _ => None,
        }
    }

    /// Works in the room, under its lock.
    pub fn within<T>(&self, work: impl FnOnce(&'static Room<'static>, &Section) -> T) -> Option<T> {
        zone::within(&self.room.zone, work)
    }

    /// His visit, if he has a token.
    pub fn visit(&self) -> Option<Visit> {
        let (token, wall) = (self.token?, time_of_day());
        let room = self.room.zone.get()?;
        let session = room.session(self.session()?.number());
        Some(Visit {
            session,
            issued: wall.saturating_sub(token.age(wall)),
            wall,
            network: self.r.network().map(|network| room.network(network.as_bytes())),
            is_hidden: self.wanted() == Wanted::Room { is_hidden: true },
            random: RandomState::new().hash_one((session, now())),
        })
    }

    /// The text of a `Set-Cookie` field with his token: memory of the request.
    pub fn cookie(&self, token: Token) -> Result<&'static [u8], NoMemory> {
        let room = self.room.zone.name().as_bytes();
        let text = self.keys.sign(room, &token);
        let conf = self.conf.cookie();
        let cookie = Cookie {
            name: self.conf.cookie_name.as_bytes(),
            path: conf.path.as_bytes(),
            domain: Some(conf.domain.as_bytes()).filter(|domain| !domain.is_empty()),
            same_site: conf.same_site,
            is_secure: match conf.secure {
                Secure::On => true,
                Secure::Off => false,
                Secure::Auto => self.is_tls()?,
            },
        };
        let (text, life) = (text.as_bytes(), token.life_left(time_of_day()));
        let length = cookie.length_max(text.len());
        self.r.print(length, |out| cookie.write(out, text, life)).ok_or(NoMemory)
    }

    fn is_tls(&self) -> Result<bool, NoMemory> {
        let Some(https) = self.r.main_conf::<Module>().https else {
            return Ok(false);
        };
        Ok(!self.r.evaluate(https).ok_or(NoMemory)?.is_empty())
    }

    fn read_token(&self) -> Option<Token> {
        let Found::One(text) = find(self.conf.cookie_name.as_bytes(), self.r.headers(b"cookie"))
        else {
            return None;
        };
        self.keys.verify(self.room.zone.name().as_bytes(), text, time_of_day())
    }
}

/// Whether a request is for the room, and never for the application.
#[inline]
pub fn asks_room(r: Request) -> bool {
    r.accept().is_some_and(accept::asks_room)
}

/// A browser says for what it fetches (Fetch Metadata Request Headers, 2.1); who does not say is a visitor.
fn kind_of(r: Request) -> Kind {
    if !r.is_main() {
        return Kind::Subrequest;
    }
    let navigates = |dest: &[u8]| matches!(dest, b"document" | b"iframe" | b"empty");
    match r.headers(b"sec-fetch-dest").all(navigates) {
        true => Kind::Visit,
        false => Kind::Resource,
    }
}
