//! The variables. They are answered from the record, which outlives the redirect, so that the
//! access log can name them.

use std::io::Write;

use super::record::Record;
use crate::core::id;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::record;
use crate::nginx::request::Request;
use crate::nginx::variable::{add, Variable};

/// Declares them all.
pub fn register(cf: Conf) -> Result<(), Refusal> {
    add::<Id>(cf)?;
    add::<Path>(cf)?;
    add::<Status>(cf)?;
    add::<Address>(cf)?;
    add::<Time>(cf)
}

struct Id;
impl Variable for Id {
    const NAME: &'static str = "sendfile_id";

    fn value(r: Request) -> Option<&'static [u8]> {
        match record::find::<Record>(r) {
            Some(record) => record.id.get(),
            None => id::trailing(r.uri()),
        }
    }
}

struct Path;
impl Variable for Path {
    const NAME: &'static str = "sendfile_path";

    fn value(r: Request) -> Option<&'static [u8]> {
        record::find::<Record>(r)?.path()
    }
}

struct Status;
impl Variable for Status {
    const NAME: &'static str = "sendfile_status";

    fn value(r: Request) -> Option<&'static [u8]> {
        let outcome = record::find::<Record>(r)?.outcome.get()?;
        Some(outcome.name().as_bytes())
    }
}

struct Address;
impl Variable for Address {
    const NAME: &'static str = "sendfile_addr";

    fn value(r: Request) -> Option<&'static [u8]> {
        record::find::<Record>(r)?.address.get()
    }
}

struct Time;
impl Variable for Time {
    const NAME: &'static str = "sendfile_time";

    fn value(r: Request) -> Option<&'static [u8]> {
        let took = record::find::<Record>(r)?.took.get()?;
        r.print(24, |text| write!(text, "{}.{:03}", took / 1000, took % 1000))
    }
}
