//! Comments of database objects, which hold a summary and a description.

/// A comment, taken apart: its first line, and the rest without the empty lines before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment<'a> {
    /// The first line.
    pub summary: &'a str,
    /// The lines behind it; may be empty.
    pub description: &'a str,
}

impl<'a> Comment<'a> {
    /// Takes a comment apart.
    pub fn new(text: &'a str) -> Self {
        let (summary, description) = text.split_once('\n').unwrap_or((text, ""));
        Self { summary, description: description.trim_start_matches('\n') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_summary() {
        assert_eq!(Comment::new("One"), Comment { summary: "One", description: "" });
        assert_eq!(
            Comment::new("One\n\nTwo\nthree"),
            Comment { summary: "One", description: "Two\nthree" }
        );
    }
}
