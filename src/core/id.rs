//! The ID that a request asks for: the digits at the end of its path.

/// The digits at the end of a normalised URI path; `None` if it does not end in a digit.
///
/// The digits are text, not a number: leading zeros stay, and there may be more of them than any
/// integer (or any memcached key) holds.
pub fn trailing(path: &[u8]) -> Option<&[u8]> {
    let digits = path.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (_, id) = path.split_at_checked(path.len().checked_sub(digits)?)?;
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::trailing;

    #[test]
    fn takes_the_digits_at_the_end() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"/file/297887", b"297887"),
            (b"/file/0", b"0"),
            (b"/file/007", b"007"),
            (b"/7/8/9", b"9"),
            (b"/report-2024-11", b"11"),
            (b"/file\xff12", b"12"),
            (b"12", b"12"),
            (b"/\xd9\xa13", b"3"), // an Arabic-Indic one is no ASCII digit
        ];
        for (path, id) in cases {
            assert_eq!(trailing(path), Some(id), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn there_is_none_where_the_path_does_not_end_in_a_digit() {
        let cases: [&[u8]; 7] =
            [b"", b"/", b"/file/", b"/7.pdf", b"/7/", b"/7\0", "/\u{0661}".as_bytes()];
        for path in cases {
            assert_eq!(trailing(path), None, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn has_no_limit_of_its_own() {
        let path = [b"/".to_vec(), vec![b'9'; 10_000]].concat();
        assert_eq!(trailing(&path).map(<[u8]>::len), Some(10_000));
    }
}
