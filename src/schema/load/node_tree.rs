//! Reads what the columns of a view show out of the view's stored query.
//!
//! PostgreSQL keeps it as a node tree (`pg_rewrite.ev_action`), written by
//! `src/backend/nodes/outfuncs.c` and tokenized as in `src/backend/nodes/read.c`:
//! `{TYPE :field value ...}` is a node, `(...)` a list, everything else are tokens that end
//! at white space or a bracket, with `\` before a byte that is not to be understood so.
//! The fields of a node differ between versions, so whatever is not asked for is skipped by
//! its shape alone.

/// How deep lists and nodes may be nested; PostgreSQL's own limit on the depth of its stack
/// stops queries far before.
const MAX_DEPTH: usize = 100_000;

/// A column of a view that shows a column of a table or view as it is, by itself or through
/// subqueries, joins and common table expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShownColumn {
    /// The column's number in the view.
    pub(super) column: i16,
    /// The relation that it is from (`pg_class.oid`).
    pub(super) origin: u32,
    /// The column's number there.
    pub(super) origin_column: i16,
}

/// The columns of other relations that a view shows, given the text of its `ev_action`;
/// `None` when the text is not a node tree of one query.
pub(super) fn shown_columns(ev_action: &str) -> Option<Vec<ShownColumn>> {
    let mut tokens = Tokens::new(ev_action);
    tokens.expect(b"(")?;
    tokens.enter_node(b"QUERY")?;
    let mut shown = Vec::new();
    while let Some(field) = tokens.next_field()? {
        if field == b":targetList" {
            target_list(&mut tokens, &mut shown)?;
        } else {
            tokens.skip_value()?;
        }
    }
    Some(shown)
}

/// Reads the value of a `:targetList`: a list of `TARGETENTRY` nodes, or nothing.
fn target_list(tokens: &mut Tokens<'_>, shown: &mut Vec<ShownColumn>) -> Option<()> {
    match tokens.next()? {
        b"<>" => return Some(()),
        b"(" => (),
        _ => return None,
    }
    while tokens.peek()? != b")" {
        tokens.enter_node(b"TARGETENTRY")?;
        if let Some(column) = target_entry(tokens)? {
            shown.push(column);
        }
    }
    tokens.expect(b")")
}

/// Reads the fields of a `TARGETENTRY`. Gives nothing for a computed column, and for one that
/// is there to sort or group by (`resjunk`).
fn target_entry(tokens: &mut Tokens<'_>) -> Option<Option<ShownColumn>> {
    let mut entry = ShownColumn { column: 0, origin: 0, origin_column: 0 };
    let mut is_junk = false;
    while let Some(field) = tokens.next_field()? {
        match field {
            b":resno" => entry.column = tokens.number()?,
            b":resorigtbl" => entry.origin = tokens.number()?,
            b":resorigcol" => entry.origin_column = tokens.number()?,
            b":resjunk" => is_junk = tokens.next()? == b"true",
            _ => tokens.skip_value()?,
        }
    }
    // Numbers below 1 are whole rows and system columns, which no key consists of.
    let is_column = entry.origin != 0 && entry.origin_column > 0 && entry.column > 0;
    Some((is_column && !is_junk).then_some(entry))
}

/// The tokens of a node tree. Methods give `None` when the text ends or is not as asked.
struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }

    /// The length of the next token, after the white space before it is left behind.
    fn scan(&mut self) -> Option<usize> {
        let start = self.rest.iter().position(|b| !is_space(*b))?;
        self.rest = &self.rest[start..];
        if is_bracket(self.rest[0]) {
            return Some(1);
        }
        let mut end = 0;
        while let Some(&byte) = self.rest.get(end) {
            if is_space(byte) || is_bracket(byte) {
                break;
            }
            end += if byte == b'\\' { 2 } else { 1 };
        }
        Some(end.min(self.rest.len()))
    }

    fn peek(&mut self) -> Option<&'a [u8]> {
        let length = self.scan()?;
        Some(&self.rest[..length])
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = self.scan()?;
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token)
    }

    fn expect(&mut self, token: &[u8]) -> Option<()> {
        (self.next()? == token).then_some(())
    }

    fn enter_node(&mut self, name: &[u8]) -> Option<()> {
        self.expect(b"{")?;
        self.expect(name)
    }

    /// The name of the next field of the node that was entered, or nothing at its end,
    /// which is left behind. Values of several tokens (a constant's bytes) may be left over
    /// from the field before.
    fn next_field(&mut self) -> Option<Option<&'a [u8]>> {
        loop {
            let token = self.peek()?;
            match token[0] {
                b'}' => {
                    self.next();
                    return Some(None);
                }
                b':' => return Some(self.next()),
                _ => self.skip_value()?,
            }
        }
    }

    /// Leaves one token behind, or a list or node with all that is in it.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.next()? {
                b"{" | b"(" => depth += 1,
                b"}" | b")" => depth = usize::checked_sub(depth, 1)?,
                _ => (),
            }
            if depth == 0 {
                return Some(());
            }
            if depth > MAX_DEPTH {
                return None;
            }
        }
    }

    fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        std::str::from_utf8(self.next()?).ok()?.parse().ok()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t')
}

fn is_bracket(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<Vec<(i16, u32, i16)>> {
        let columns = shown_columns(text)?;
        Some(columns.iter().map(|c| (c.column, c.origin, c.origin_column)).collect())
    }

    /// The stored query of this view, recorded from each supported version:
    /// `select s.k as "no :resno", s.name || 'a' as b, s.keeper
    ///  from (select id as k, name, keeper from pets) s order by s.name`
    const RECORDED: [(u32, &str); 5] = [
        (14, include_str!("testdata/ev_action_14.txt")),
        (15, include_str!("testdata/ev_action_15.txt")),
        (16, include_str!("testdata/ev_action_16.txt")),
        (17, include_str!("testdata/ev_action_17.txt")),
        (18, include_str!("testdata/ev_action_18.txt")),
    ];

    #[test]
    fn node_trees_of_all_supported_versions_are_understood() {
        for (version, text) in RECORDED {
            let expected = Some(vec![(1, 16384, 1), (3, 16384, 3)]);
            assert_eq!(shown(text), expected, "PostgreSQL {version}");
        }
    }

    #[test]
    fn a_node_tree_cut_anywhere_gives_nothing() {
        let (_, text) = RECORDED[0];
        let text = text.trim_end().strip_suffix("})").expect("it is a list of one query");
        for end in (0..=text.len()).step_by(7) {
            assert_eq!(shown(&text[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn only_the_outermost_target_list_counts() {
        let text = "({QUERY :commandType 1 :rtable ({RTE :subquery {QUERY :targetList \
            ({TARGETENTRY :expr <> :resno 1 :resname inner :resorigtbl 7 :resorigcol 7 :resjunk false})}}) \
            :targetList ({TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname id :resorigtbl 16625 \
            :resorigcol 3 :resjunk false}) :override 0})";
        assert_eq!(shown(text), Some(vec![(1, 16625, 3)]));
    }

    #[test]
    fn computed_and_junk_columns_are_left_out() {
        let text = "({QUERY :targetList (\
            {TARGETENTRY :expr {FUNCEXPR :args ({CONST :constvalue 4 [ 1 0 0 0 ]} {VAR})} :resno 1 \
             :resname total :resorigtbl 0 :resorigcol 0 :resjunk false} \
            {TARGETENTRY :expr {VAR} :resno 2 :resname id :resorigtbl 5 :resorigcol 1 :resjunk true})})";
        assert_eq!(shown(text), Some(vec![]));
    }

    #[test]
    fn a_column_may_be_named_like_a_field_or_hold_brackets() {
        let text = r"({QUERY :targetList (
            {TARGETENTRY :expr {VAR} :resno 1 :resname :resorigtbl :resorigtbl 5 :resorigcol 2 :resjunk false}
            {TARGETENTRY :expr {VAR} :resno 2 :resname a\ \{\(\\ :resorigtbl 5 :resorigcol 1 :resjunk false}) })";
        assert_eq!(shown(text), Some(vec![(1, 5, 2), (2, 5, 1)]));
    }

    #[test]
    fn a_constant_of_several_tokens_does_not_hide_the_next_field() {
        let text = "({QUERY :limit 8 [ 1 0 0 0 0 0 0 0 ] :targetList ({TARGETENTRY :resno 1 \
            :resorigtbl 9 :resorigcol 1 :resjunk false})})";
        assert_eq!(shown(text), Some(vec![(1, 9, 1)]));
    }

    #[test]
    fn a_view_without_columns_shows_none() {
        assert_eq!(shown("({QUERY :targetList <> :limit <>})"), Some(vec![]));
    }

    #[test]
    fn what_is_cut_or_no_node_tree_gives_nothing() {
        for text in
            ["", "(", "<>", "({QUERY", "({QUERY :targetList (", "({QUERY :a )", "({OTHER})", "\\"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in r"[({QUERYTAGN :<>)}\\\[\] a-z0-9]{0,200}") {
            shown_columns(&text);
            shown_columns(&format!("({{QUERY :targetList ({{TARGETENTRY {text}"));
        }
    }
}
