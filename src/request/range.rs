//! Which rows of the result are wanted: `limit`, `offset` and the `Range` header.
//! <https://docs.postgrest.org/en/v16/references/api/pagination_count.html>

use super::Method;
use super::ast::{EmbedPath, Query};
use crate::error::{Error, Result};
use crate::http::Headers;

/// The rows that are wanted of the outermost level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopLevelRange {
    /// Rows to leave out in front; 0 or more.
    pub offset: i64,
    /// The number of rows at most, 0 or more; `None` for all.
    pub limit: Option<i64>,
}

/// An interval of row numbers from 0, `upper` included; `None` is without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    lower: i64,
    upper: Option<i64>,
}

impl Interval {
    const ALL: Self = Interval { lower: 0, upper: None };

    fn is_empty(self) -> bool {
        self.upper.is_some_and(|upper| upper < self.lower)
    }

    fn intersection(self, other: Self) -> Self {
        Interval {
            lower: self.lower.max(other.lower),
            upper: match (self.upper, other.upper) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }
}

impl TopLevelRange {
    /// Merges the `Range` header, which counts only for `GET`, with `limit` and `offset`.
    ///
    /// Errors: `PGRST103` (416) for a negative limit or an interval that ends before it
    /// starts, `PGRST114` when `PUT` has one at all.
    pub fn new(method: Method, query: &Query, headers: &Headers) -> Result<Self> {
        let header = match method {
            Method::Get => headers.get("range").map_or(Ok(Interval::ALL), parse_header)?,
            _ => Interval::ALL,
        };
        let root = |bounds: &[(EmbedPath, i64)]| {
            bounds.iter().find(|(path, _)| path.is_empty()).map(|(_, bound)| *bound)
        };
        let (limit, offset) = (root(&query.limit), root(&query.offset).unwrap_or(0));
        let asked = Interval {
            lower: offset,
            upper: limit.map(|limit| offset.saturating_add(limit).saturating_sub(1)),
        };
        let range = if asked.upper == Some(-1) {
            // `limit=0` asks for no rows, which is fine.
            TopLevelRange { offset: 0, limit: Some(0) }
        } else {
            Self::from_interval(header, asked)?
        };
        if method == Method::Put && range != TopLevelRange::default() {
            return Err(Error::new(
                400,
                "PGRST114",
                "limit/offset querystring parameters are not allowed for PUT",
            ));
        }
        Ok(range)
    }

    fn from_interval(header: Interval, asked: Interval) -> Result<Self> {
        if header.is_empty() {
            return Err(not_satisfiable(
                "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
            ));
        }
        let rows = header.intersection(asked);
        if rows.is_empty() {
            return Err(not_satisfiable("Limit should be greater than or equal to zero."));
        }
        let limit = rows.upper.map(|upper| (upper - rows.lower).saturating_add(1));
        Ok(TopLevelRange { offset: rows.lower, limit })
    }
}

fn not_satisfiable(details: &str) -> Error {
    Error::new(416, "PGRST103", "Requested range not satisfiable").details(details)
}

/// `first-last` or `first-`; anything else asks for all rows.
fn parse_header(value: &str) -> Result<Interval> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match value.split_once('-') {
        Some((first, last)) if !first.is_empty() && digits(first) && digits(last) => {
            Ok(Interval { lower: parse_bound(first)?.unwrap_or(0), upper: parse_bound(last)? })
        }
        _ => Ok(Interval::ALL),
    }
}

/// A decimal number with white space around it; `None` when it is none. One that PostgreSQL's
/// `bigint` cannot hold is the error that PostgreSQL would raise.
pub(super) fn parse_bound(value: &str) -> Result<Option<i64>> {
    let number = value.trim();
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match number.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) if negative => Ok(Some(i64::MIN)),
        Err(_) => {
            let message = format!("value \"{digits}\" is out of range for type bigint");
            Err(Error::new(400, "22003", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Parameters;

    fn range(method: Method, query: &str, header: Option<&str>) -> Result<(i64, Option<i64>)> {
        let query = Query::parse(query, Parameters::Filters)?;
        let fields = header.map(|value| ("Range".to_owned(), value.to_owned()));
        let headers = Headers(fields.into_iter().collect());
        TopLevelRange::new(method, &query, &headers).map(|range| (range.offset, range.limit))
    }

    #[test]
    fn limit_and_offset_are_taken_as_they_are() {
        assert_eq!(range(Method::Get, "", None).unwrap(), (0, None));
        assert_eq!(range(Method::Get, "limit=2", None).unwrap(), (0, Some(2)));
        assert_eq!(range(Method::Get, "offset=3", None).unwrap(), (3, None));
        assert_eq!(range(Method::Get, "limit=2&offset=3", None).unwrap(), (3, Some(2)));
        assert_eq!(range(Method::Get, "limit=0", None).unwrap(), (0, Some(0)));
        assert_eq!(range(Method::Get, "offset=-2", None).unwrap(), (0, None));
        assert_eq!(range(Method::Get, "limit=two", None).unwrap(), (0, None));
        assert_eq!(range(Method::Get, "limit=1&limit=2", None).unwrap(), (0, Some(2)));
    }

    #[test]
    fn the_header_counts_for_get_and_cuts_what_the_query_asks() {
        assert_eq!(range(Method::Get, "", Some("0-1")).unwrap(), (0, Some(2)));
        assert_eq!(range(Method::Get, "", Some("3-")).unwrap(), (3, None));
        assert_eq!(range(Method::Get, "limit=3&offset=1", Some("0-1")).unwrap(), (1, Some(1)));
        assert_eq!(range(Method::Head, "", Some("0-1")).unwrap(), (0, None));
        assert_eq!(range(Method::Get, "", Some("items=0-1")).unwrap(), (0, None));
    }

    #[test]
    fn a_range_that_cannot_be_is_416() {
        for (query, header) in [("limit=-1", None), ("", Some("3-1")), ("limit=2", Some("5-9"))] {
            let error = range(Method::Get, query, header).unwrap_err();
            assert_eq!((error.status(), error.code()), (416, "PGRST103"));
        }
    }

    #[test]
    fn a_bound_beyond_bigint_is_the_error_of_postgresql() {
        let error = range(Method::Get, "limit=99999999999999999999", None).unwrap_err();
        assert_eq!(error.code(), "22003");
        assert_eq!(
            error.message(),
            "value \"99999999999999999999\" is out of range for type bigint"
        );
    }

    #[test]
    fn put_takes_no_range() {
        assert_eq!(range(Method::Put, "limit=1", None).unwrap_err().code(), "PGRST114");
        assert_eq!(range(Method::Put, "offset=0", Some("0-5")).unwrap(), (0, None));
    }
}
