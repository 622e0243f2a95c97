//! What an answer is made of.

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The page.
    Html,
    /// JSON, errors too.
    Json,
    /// Prometheus's text format.
    Metrics,
    /// nginx's directives.
    Directives,
}

impl Content {
    /// The media type. That of plain `text` is in UTF-8, which nginx adds to those without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Json => "application/json",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Self::Directives => "text/plain",
        }
    }
}
