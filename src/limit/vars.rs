//! The variables.

use std::io::Write;

use super::record::Record;
use crate::core::rate::REQUEST;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::record;
use crate::nginx::request::Request;
use crate::nginx::variable::{add, Variable};

/// Declares them all.
pub fn register(cf: Conf) -> Result<(), Refusal> {
    add::<Status>(cf)?;
    add::<Zone>(cf)?;
    add::<Excess>(cf)?;
    add::<RetryAfter>(cf)
}

fn record_of(r: Request) -> Option<&'static Record> {
    record::find(r.main())
}

struct Status;
impl Variable for Status {
    const NAME: &'static str = "smart_limit_status";

    fn value(r: Request) -> Option<&'static [u8]> {
        Some(record_of(r)?.status.get()?.name().as_bytes())
    }
}

struct Zone;
impl Variable for Zone {
    const NAME: &'static str = "smart_limit_zone";

    fn value(r: Request) -> Option<&'static [u8]> {
        r.copy(record_of(r)?.zone.get()?.name().as_bytes())
    }
}

struct Excess;
impl Variable for Excess {
    const NAME: &'static str = "smart_limit_excess";

    fn value(r: Request) -> Option<&'static [u8]> {
        let record = record_of(r)?;
        record.zone.get()?;
        let excess = record.excess.get();
        r.print(24, |text| write!(text, "{}.{:03}", excess / REQUEST, excess % REQUEST))
    }
}

struct RetryAfter;
impl Variable for RetryAfter {
    const NAME: &'static str = "smart_limit_retry_after";

    fn value(r: Request) -> Option<&'static [u8]> {
        let seconds = record_of(r)?.retry_after.get()?;
        r.print(20, |text| write!(text, "{seconds}"))
    }
}
