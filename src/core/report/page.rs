//! The page that shows the status to a person on call. It is one document, the same for all: its script asks for
//! `status.json` and `history.json` beside it, and shows what they say.

/// The page's style, as it stands between its tags.
macro_rules! style {
    () => {
        include_str!("page/style.css")
    };
}

/// The page's script, as it stands between its tags.
macro_rules! script {
    () => {
        concat!(
            include_str!("page/script/document.js"),
            include_str!("page/script/words.js"),
            include_str!("page/script/samples.js"),
            include_str!("page/script/chart.js"),
            include_str!("page/script/problems.js"),
            include_str!("page/script/lookups.js"),
            include_str!("page/script/limits.js"),
            include_str!("page/script/rooms.js"),
            include_str!("page/script/buffers.js"),
            include_str!("page/script/main.js"),
        )
    };
}

const PAGE: &str = concat!(
    include_str!("page/page.html"),
    "<style>",
    style!(),
    "</style>\n<script type=module>",
    script!(),
    "</script>\n"
);

/// The `Content-Security-Policy` that lets in the page's own style and script and nothing else, and lets it ask only
/// the server that it is from.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-Tv1FbnQM6jtbnxO2IDj25WW2+FB1ky3CsfafPRMEMYU='; \
    script-src 'sha256-ZfGI08M2yYCFhqAcjRMFyeUNxGyKpmLxUeunMQMYS9c='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The page, as HTML in UTF-8.
pub fn page() -> &'static [u8] {
    PAGE.as_bytes()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{Engine, BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_lets_in_this_page() {
        for (directive, text) in [("style-src", style!()), ("script-src", script!())] {
            let mut hash = [0; 64];
            let length = BASE64_STANDARD.encode_slice(Sha256::digest(text), &mut hash).unwrap();
            let hash = std::str::from_utf8(&hash[..length]).unwrap();
            let source = format!("{directive} 'sha256-{hash}';");
            assert!(
                CONTENT_SECURITY_POLICY.contains(&source),
                "{CONTENT_SECURITY_POLICY} lacks {source}"
            );
        }
    }
}
