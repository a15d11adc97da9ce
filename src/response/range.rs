//! `Content-Range`, and the statuses that come with it.
//!
//! <https://docs.postgrest.org/en/v16/references/api/pagination_count.html>

use crate::error::Error;

/// Which rows of how many are in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The number of the first row, from 0.
    pub offset: u64,
    /// How many rows there are in the body.
    pub rows: u64,
    /// How many there are in all, when it was counted.
    pub total: Option<u64>,
}

impl ContentRange {
    /// 200, or 206 when the body is a part of more rows, as far as they were counted.
    pub fn status(&self) -> u16 {
        match self.total {
            Some(total) if self.rows < total => 206,
            _ => 200,
        }
    }

    /// Whether the range begins behind the last row.
    pub fn is_not_satisfiable(&self) -> bool {
        self.total.is_some_and(|total| self.offset > total)
    }
}

impl std::fmt::Display for ContentRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows {
            0 => f.write_str("*")?,
            rows => write!(f, "{}-{}", self.offset, self.offset + rows - 1)?,
        }
        match self.total {
            Some(total) => write!(f, "/{total}"),
            None => f.write_str("/*"),
        }
    }
}

/// The error for a range behind the last row.
pub fn not_satisfiable(offset: u64, total: u64) -> Error {
    Error::new(416, "PGRST103", "Requested range not satisfiable")
        .details(format!("An offset of {offset} was requested, but there are only {total} rows."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(offset: u64, rows: u64, total: Option<u64>) -> ContentRange {
        ContentRange { offset, rows, total }
    }

    #[test]
    fn rows_are_numbered_from_zero() {
        assert_eq!(range(0, 5, None).to_string(), "0-4/*");
        assert_eq!(range(3, 2, Some(9)).to_string(), "3-4/9");
        assert_eq!(range(0, 0, Some(0)).to_string(), "*/0");
    }

    #[test]
    fn a_part_of_the_counted_rows_is_partial_content() {
        assert_eq!(range(0, 2, Some(5)).status(), 206);
        assert_eq!(range(0, 5, Some(5)).status(), 200);
        assert_eq!(range(0, 2, None).status(), 200);
    }

    #[test]
    fn an_offset_behind_the_end_is_not_satisfiable() {
        assert!(range(6, 0, Some(5)).is_not_satisfiable());
        assert!(!range(0, 0, Some(0)).is_not_satisfiable());
        assert!(!range(6, 0, None).is_not_satisfiable());
    }
}
