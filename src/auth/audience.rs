//! Whom tokens must be for.

use regex_lite::Regex;
use std::fmt;

/// What makes a regular expression of an audience. A name without these, such as a URI, means
/// itself: its dots are no wildcards.
const PATTERN_CHARACTERS: [char; 5] = ['|', '[', '(', '*', '\\'];

/// An expected audience: a name, or a regular expression that must match the whole of one.
pub(super) struct Audience {
    text: String,
    pattern: Option<Regex>,
}

impl Audience {
    pub fn new(text: String) -> Self {
        // One that is no regular expression by itself is a name still: a stray parenthesis
        // must not lead out of the group.
        let is_expression = text.contains(PATTERN_CHARACTERS) && Regex::new(&text).is_ok();
        let pattern = is_expression.then(|| Regex::new(&format!("^(?:{text})$")));
        Self { pattern: pattern.and_then(Result::ok), text }
    }

    /// Whether a token for `name` is meant.
    pub fn is(&self, name: &str) -> bool {
        self.text == name || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_itself() {
        for name in ["desk-7", "https://notes.example.org", "a+b", "https://x.org/?a=b", "(", "x|"]
        {
            assert!(Audience::new(name.into()).is(name), "{name}");
        }
        assert!(!Audience::new("https://notes.example.org".into()).is("https://notesXexample.org"));
        assert!(!Audience::new("desk-7".into()).is("desk-70"));
    }

    #[test]
    fn an_expression_matches_whole_names() {
        let either = Audience::new("shop|stock".into());
        assert!(either.is("shop") && either.is("stock"));
        assert!(!either.is("shops") && !either.is("my stock") && !either.is("shop\n"));
        let domain = Audience::new(r"https://[a-z0-9]+\.example\.com".into());
        assert!(domain.is("https://api.example.com"));
        assert!(
            !domain.is("https://api.example.com.evil.org") && !domain.is("https://apixexample.com")
        );
        assert!(Audience::new(".*".into()).is("anybody"));
        assert!(!Audience::new("shop)|(stock".into()).is("shop of others"));
    }
}
