//! An HTML page as a test sees it: a list of elements, and proof that it is well formed.

use serde_json::Value;

/// An element of a page: its name, its attributes, and the text in it up to the next tag.
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| &value[..])
    }
}

/// A page whose every element is closed where it must be, in the reverse order of their opening.
pub struct Document(pub Vec<Element>);

impl Document {
    pub fn parse(page: &str) -> Self {
        let void = ["meta", "link"];
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<String> = Vec::new();
        // Whether the text that comes next is the last element's.
        let mut is_within = false;
        let mut rest =
            page.strip_prefix("<!doctype html>").expect("the page says that it is HTML 5");
        while let Some((text, after)) = rest.split_once('<') {
            if let Some(element) = elements.last_mut().filter(|_| is_within) {
                element.text.push_str(&unescape(text));
            }
            is_within = !after.starts_with(['/', '!']);
            if let Some(comment) = after.strip_prefix("!--") {
                rest = comment.split_once("-->").expect("a comment ends").1;
            } else if let Some(end) = after.strip_prefix('/') {
                let (name, after) = end.split_once('>').expect("a tag ends");
                assert_eq!(open.pop().as_deref(), Some(name), "in {page}");
                rest = after;
            } else {
                let (element, after) = tag(after);
                // What is in these is no HTML.
                let is_raw = ["script", "style"].contains(&&element.name[..]);
                let end = format!("</{}>", element.name);
                let raw = if is_raw { after.find(&end).expect("it ends") } else { 0 };
                if !void.contains(&&element.name[..]) {
                    open.push(element.name.clone());
                }
                elements.push(Element { text: after[..raw].to_owned(), ..element });
                rest = &after[raw..];
            }
        }
        assert_eq!(open, [""; 0], "not closed");
        Self(elements)
    }

    pub fn with_id(&self, id: &str) -> &Element {
        let mut found = self.0.iter().filter(|element| element.attribute("id") == Some(id));
        let element = found.next().unwrap_or_else(|| panic!("no element has the id {id}"));
        assert!(found.next().is_none(), "the id {id} is not alone");
        element
    }

    pub fn text(&self, id: &str) -> &str {
        &self.with_id(id).text
    }

    pub fn is_hidden(&self, id: &str) -> bool {
        self.with_id(id).attribute("hidden").is_some()
    }

    pub fn named(&self, name: &str) -> Vec<&Element> {
        self.0.iter().filter(|element| element.name == name).collect()
    }

    pub fn title(&self) -> &str {
        &self.named("title")[0].text
    }

    /// In how many seconds it refreshes itself.
    #[allow(dead_code, reason = "it is asked of pages that no nginx has sent")]
    pub fn refresh(&self) -> Option<&str> {
        let metas = self.named("meta");
        let refresh = metas.iter().find(|meta| meta.attribute("http-equiv") == Some("refresh"))?;
        refresh.attribute("content")
    }

    /// What the document hands to its script.
    #[allow(dead_code, reason = "it is asked of pages that no nginx has sent")]
    pub fn data(&self, name: &str) -> Value {
        let data = self.with_id("room").attribute(name).expect("the script has its data");
        serde_json::from_str(data).expect("the script's data is JSON")
    }
}

/// The element of a tag without its `<`, and what comes after it.
fn tag(text: &str) -> (Element, &str) {
    let end = text.find([' ', '>']).expect("a tag ends");
    let (name, mut rest) = text.split_at(end);
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name:?} is no name");
    let mut attributes = Vec::new();
    while let Some(attribute) = rest.strip_prefix(' ') {
        let end = attribute.find(['=', ' ', '>']).expect("a tag ends");
        let (key, after) = attribute.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            None => ("", after),
            Some(value) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).expect("a value ends"),
                _ => value.split_at(value.find([' ', '>']).expect("a value ends")),
            },
        };
        attributes.push((key.to_owned(), unescape(value)));
        rest = after;
    }
    let rest = rest.strip_prefix('>').unwrap_or_else(|| panic!("a tag does not end: {text}"));
    (Element { name: name.to_owned(), attributes, text: String::new() }, rest)
}

fn unescape(text: &str) -> String {
    text.replace("&#39;", "'").replace("&lt;", "<").replace("&amp;", "&")
}
