//! Text from outside, made fit for a terminal.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A text that a terminal shows and never obeys: whatever a terminal might take for more than a character to be
/// shown, or not show at all, is written as an escape such as `\u{1b}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    pub fn new(raw: &str) -> Self {
        let mut text = String::with_capacity(raw.len());
        for character in raw.chars() {
            if is_shown(character) {
                text.push(character);
            } else {
                text.extend(character.escape_unicode());
            }
        }
        Text(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is a character to be seen in its place: no control, no mark of a direction of writing, nothing
/// invisible, nothing that a private agreement gives a meaning.
fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..)
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|raw| Text::new(&raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (raw, shown) in [
            ("www.example.org", "www.example.org"),
            ("写真 ü ~ \\.php$", "写真 ü ~ \\.php$"),
            ("\x1b[2J\x07", "\\u{1b}[2J\\u{7}"),
            ("a\nb\r\tc\0", "a\\u{a}b\\u{d}\\u{9}c\\u{0}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("evil\u{202e}txt\u{200b}", "evil\\u{202e}txt\\u{200b}"),
            ("\u{e0041}\u{f8ff}", "\\u{e0041}\\u{f8ff}"),
            ("\u{fffd}", "\u{fffd}"),
        ] {
            assert_eq!(Text::new(raw).as_str(), shown);
            let json = serde_json::to_string(raw).expect("a text");
            let read: Text = serde_json::from_str(&json).expect("a text");
            assert_eq!(read.as_str(), shown);
        }
    }

    #[test]
    fn no_character_of_all_reaches_the_terminal_as_a_control() {
        for character in '\0'..=char::MAX {
            let shown = Text::new(&character.to_string());
            assert!(shown.as_str().chars().all(|shown| !shown.is_control()), "{character:?}");
        }
    }
}
