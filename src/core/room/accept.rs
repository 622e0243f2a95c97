//! What a client wants to read: `Accept` and `Accept-Language` (RFC 9110 sections 12.5.1, 12.5.4). The time
//! that a value takes grows with its length and nothing else.

use std::cmp::Reverse;

/// The media type in which the room, and not the application, always answers.
pub const ROOM_TYPE: &str = "application/vnd.ngx-smart.room+json";

/// In what form the room is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A page for people.
    Page,
    /// `application/json`, while he waits.
    Json,
    /// `ROOM_TYPE`, whatever has become of him.
    Room {
        /// Whether nobody sees the page that asks: `ROOM_TYPE;hidden=1`.
        is_hidden: bool,
    },
}

impl Wanted {
    /// What the values of `Accept` ask for. Where they do not prefer JSON to HTML it is the page: by weight
    /// and, at the same weight, by naming it where HTML is only not excluded (`application/json, */*`).
    /// A subtype such as `problem+json` says that its reader reads JSON.
    pub fn from_accept<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut html, mut json) = (Preference::default(), Preference::default());
        let mut room = None;
        for range in ranges(values) {
            let name = range.name;
            if is(name, ROOM_TYPE) && range.weight > 0 {
                let is_hidden = range.parameter("hidden").is_some_and(|value| value == b"1");
                room = Some(room.unwrap_or(false) || is_hidden);
            } else if is(name, "*/*") {
                html.meet(0, &range);
                json.meet(0, &range);
            } else if is(name, "text/*") {
                html.meet(1, &range);
            } else if is(name, "application/*") {
                json.meet(1, &range);
            } else if is(name, "text/html") {
                html.meet(2, &range);
            } else if is(name, "application/json") || is_json(name) {
                json.meet(2, &range);
            }
        }
        match room {
            Some(is_hidden) => Self::Room { is_hidden },
            None if json.weight() > html.weight() => Self::Json,
            None => Self::Page,
        }
    }
}

/// Whether a value of `Accept` names `ROOM_TYPE` first: whoever asks so asks the room, and never the application.
/// Cheap, because it is asked about every request to a site that has a room.
#[inline]
pub fn asks_room(value: &[u8]) -> bool {
    let name = value.get(..ROOM_TYPE.len()).unwrap_or_default();
    // Most begin with "text".
    matches!(name.first(), Some(b'a' | b'A'))
        && name.eq_ignore_ascii_case(ROOM_TYPE.as_bytes())
        && matches!(Wanted::from_accept([value]), Wanted::Room { .. })
}

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// The language that the values of `Accept-Language` prefer. Of two of one weight it is the one that is
    /// named, then the one that is named first; English where there is nothing to choose by.
    pub fn from_accept<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut english, mut japanese) = (Preference::default(), Preference::default());
        for range in ranges(values) {
            let primary = range.name.split(|byte| *byte == b'-').next().unwrap_or_default();
            if is(primary, "*") {
                english.meet(0, &range);
                japanese.meet(0, &range);
            } else if is(primary, "en") {
                english.meet(1, &range);
            } else if is(primary, "ja") {
                japanese.meet(1, &range);
            }
        }
        if japanese.early_weight() > english.early_weight() {
            Self::Japanese
        } else {
            Self::English
        }
    }
}

/// How much something is wanted: by the most specific of the ranges that it is in, of equally specific ones
/// by the heaviest.
#[derive(Clone, Copy, Default)]
struct Preference {
    /// How specific the range is, and its weight. `None`: it is in none.
    best: Option<(u8, u16)>,
    /// How early that range stands.
    place: Reverse<usize>,
}

impl Preference {
    fn meet(&mut self, specificity: u8, range: &Range) {
        if self.best < Some((specificity, range.weight)) {
            self.best = Some((specificity, range.weight));
            self.place = Reverse(range.place);
        }
    }

    /// The weight; of equal weights the more specific is the greater. What is not wanted has none.
    fn weight(&self) -> Option<(u16, u8)> {
        self.best
            .filter(|(_, weight)| *weight > 0)
            .map(|(specificity, weight)| (weight, specificity))
    }

    /// The same; of equal ones the earlier is the greater.
    fn early_weight(&self) -> Option<((u16, u8), Reverse<usize>)> {
        self.weight().map(|weight| (weight, self.place))
    }
}

/// An element of either field: what is wanted, and how much.
struct Range<'a> {
    name: &'a [u8],
    parameters: Split<'a>,
    /// In thousandths.
    weight: u16,
    /// How many elements stand before it.
    place: usize,
}

impl<'a> Range<'a> {
    fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        parameter(self.parameters, name)
    }
}

/// The elements that can be understood.
fn ranges<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = Range<'a>> {
    let elements = values.into_iter().flat_map(|value| Split { rest: Some(value), at: b',' });
    elements.enumerate().filter_map(|(place, element)| {
        let mut parameters = Split { rest: Some(element), at: b';' };
        let name = parameters.next()?.trim_ascii();
        let weight = parameter(parameters, "q").map_or(Some(1000), weight)?;
        Some(Range { name, parameters, weight, place })
    })
}

/// The value of the first parameter of this name, without its quotes.
fn parameter<'a>(mut parameters: Split<'a>, name: &str) -> Option<&'a [u8]> {
    parameters.find_map(|parameter| {
        let equals = parameter.iter().position(|byte| *byte == b'=')?;
        let (key, value) = parameter.split_at_checked(equals)?;
        let value = value.strip_prefix(b"=")?.trim_ascii();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        is(key.trim_ascii(), name).then_some(unquoted.unwrap_or(value))
    })
}

/// A weight in thousandths: `0` to `1`, with decimals, of which the first three count.
fn weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole @ b'0'..=b'1'] => (whole, &[][..]),
        [whole @ b'0'..=b'1', b'.', decimals @ ..] => (whole, decimals),
        _ => return None,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = [whole].into_iter().chain(decimals).chain(b"000").take(4);
    let weight = digits.fold(0u16, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u16::from(digit.saturating_sub(b'0')))
    });
    (weight <= 1000).then_some(weight)
}

/// The parts of a value between separators. One within a quoted string separates nothing.
#[derive(Clone, Copy)]
struct Split<'a> {
    rest: Option<&'a [u8]>,
    at: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = rest.iter().position(|byte| {
            if is_escaped {
                is_escaped = false;
            } else if is_quoted && *byte == b'\\' {
                is_escaped = true;
            } else if *byte == b'"' {
                is_quoted = !is_quoted;
            } else {
                return *byte == self.at && !is_quoted;
            }
            false
        });
        let (part, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        self.rest = after.split_first().map(|(_, after)| after);
        Some(part)
    }
}

/// Names are compared without regard to case.
fn is(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

fn is_json(name: &[u8]) -> bool {
    name.last_chunk::<5>().is_some_and(|suffix| is(suffix, "+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_the_room_first_asks_it() {
        for value in [ROOM_TYPE, "Application/VND.NGX-Smart.Room+JSON;hidden=1, */*;q=0.1"] {
            assert!(asks_room(value.as_bytes()), "{value}");
        }
        let not_first = format!("text/html, {ROOM_TYPE}");
        let excluded = format!("{ROOM_TYPE};q=0");
        let longer = format!("{ROOM_TYPE}x");
        for value in ["", "application/json", &not_first, &excluded, &longer] {
            assert!(!asks_room(value.as_bytes()), "{value}");
        }
    }
}
