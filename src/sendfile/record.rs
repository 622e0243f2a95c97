//! What is known of a request: written by the handler and the store, read by the variables.

use std::cell::Cell;
use std::time::Instant;

use nginx_sys::ngx_module_t;

use super::counters;
use crate::core::policy::Outcome;
use crate::nginx::record;
use crate::nginx::request::Request;

/// Where the request stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// The store has been asked, or is about to be.
    #[default]
    Waiting,
    /// There is an outcome.
    Answered,
    /// It has become a file; whatever handler sees it now leaves it alone.
    Redirected,
}

/// The record. Bytes are memory of the request where nothing else is said.
#[derive(Default)]
pub struct Record {
    pub state: Cell<State>,
    pub id: Cell<Option<&'static [u8]>>,
    pub outcome: Cell<Option<Outcome>>,
    /// The URI of the file: the root, then the path.
    pub uri: Cell<&'static [u8]>,
    /// How much of it is the root.
    pub root: Cell<usize>,
    /// The server that was asked last; its name lives as long as the worker.
    pub address: Cell<Option<&'static [u8]>>,
    /// When the lookup began, and how long it took, in milliseconds.
    pub began: Cell<u64>,
    pub took: Cell<Option<u64>>,
    /// When the store was asked. It is the system's clock, without a system call (vDSO): nginx's own shows one
    /// time for a whole turn of its loop, in milliseconds, and most answers come sooner than the next.
    pub asked: Cell<Option<Instant>>,
    /// Whether the cache holds an expired path that may answer while the store fails.
    pub stale: Cell<bool>,
}

impl record::Record for Record {
    fn module() -> &'static ngx_module_t {
        super::module()
    }
}

impl Record {
    /// The path within the root.
    pub fn path(&self) -> Option<&'static [u8]> {
        self.uri.get().get(self.root.get()..).filter(|path| !path.is_empty())
    }

    /// Begins a lookup.
    pub fn begin(&self, id: Option<&'static [u8]>, now: u64) {
        self.state.set(State::Waiting);
        self.id.set(id);
        self.outcome.set(None);
        self.uri.set(&[]);
        self.root.set(0);
        self.took.set(None);
        self.address.set(None);
        self.began.set(now);
        self.asked.set(None);
        self.stale.set(false);
    }

    /// Takes an outcome, and counts it.
    pub fn answer(&self, r: Request, outcome: Outcome, now: u64) {
        let time = self.asked.take().map(|asked| asked.elapsed().as_micros() as u64);
        counters::count(r, outcome, time);
        self.outcome.set(Some(outcome));
        self.took.set(Some(now.saturating_sub(self.began.get())));
        self.state.set(State::Answered);
    }

    /// Takes an outcome with a path; without memory for it the outcome is an error.
    pub fn answer_with(&self, r: Request, outcome: Outcome, root: &[u8], path: &[u8], now: u64) {
        let Some(uri) = r.allocate(root.len() + path.len()) else {
            return self.answer(r, Outcome::Error, now);
        };
        uri[..root.len()].copy_from_slice(root);
        uri[root.len()..].copy_from_slice(path);
        self.root.set(root.len());
        self.uri.set(uri);
        self.answer(r, outcome, now);
    }
}
