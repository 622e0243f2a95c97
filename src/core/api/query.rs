//! Arguments: `name=value`, joined by `&`, the values percent-encoded.

use super::Refusal;
use crate::core::NoMemory;

/// The most bytes of a value, decoded: the longest key that a limiter takes.
pub const VALUE_MAX: usize = 65_535;

/// The values of the arguments of these names, decoded, and no others.
///
/// # Errors
/// There is another argument, one twice, or one that is malformed; or there is no memory.
pub fn arguments<'a, const COUNT: usize>(
    query: &'a [u8],
    names: [&'static str; COUNT],
) -> Result<[Option<Vec<u8>>; COUNT], Refusal<'a>> {
    let mut values = [const { None }; COUNT];
    // An ampersand too many is nobody's argument.
    for argument in query.split(|byte| *byte == b'&').filter(|argument| !argument.is_empty()) {
        let mut parts = argument.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let known = names.iter().zip(&mut values).find(|(known, _)| known.as_bytes() == name);
        let (name, place) = known.ok_or(Refusal::Unknown(name))?;
        let text = parts.next().ok_or(Refusal::Malformed(name))?;
        let value = decode(text)?.ok_or(Refusal::Malformed(name))?;
        if value.len() > VALUE_MAX {
            return Err(Refusal::TooLong(name));
        }
        if place.replace(value).is_some() {
            return Err(Refusal::Repeated(name));
        }
    }
    Ok(values)
}

/// The bytes that a text stands for which is encoded as forms are, as by `curl --data-urlencode`: a plus is a space.
/// `None`: a percent sign has not two hexadecimal digits behind it.
///
/// # Errors
/// There is no memory.
pub fn decode(text: &[u8]) -> Result<Option<Vec<u8>>, NoMemory> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(text.len()).map_err(|_| NoMemory)?;
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        let decoded = match byte {
            b'%' => rest.next().zip(rest.next()).and_then(|(high, low)| of_digits(*high, *low)),
            b'+' => Some(b' '),
            plain => Some(plain),
        };
        match decoded {
            Some(byte) => bytes.push(byte),
            None => return Ok(None),
        }
    }
    Ok(Some(bytes))
}

fn of_digits(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?.try_into().ok()
}
