//! `$smart_limit_session`: who a request is of, by its token.

use std::io::Write;

use super::visitor::Visitor;
use crate::core::token::Session;
use crate::nginx::request::Request;
use crate::nginx::variable::Variable;

/// The variable: 16 hexadecimal digits, from which no token can be made; none without a valid token.
pub struct SessionVariable;
impl Variable for SessionVariable {
    const NAME: &'static str = "smart_limit_session";

    fn value(r: Request) -> Option<&'static [u8]> {
        print(r, Visitor::of(r)?.session()?)
    }
}

/// A session as the variable has it: memory of the request. `None`: there is no more memory.
pub fn print(r: Request, session: Session) -> Option<&'static [u8]> {
    r.print(16, |text| write!(text, "{session}"))
}
