//! How much reading a relation may give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows are held one by one beside the body that is made of them, so only so many are taken as
/// rows.
pub const MAX_ROWS: u64 = 10_000;

/// A relation or a result that is expected to take more is not taken as rows.
const MAX_EXPECTED_BYTES: u64 = 4 << 20;

/// After a body of more than this, no further one of the relation is made of rows.
const WIDE_BODY_BYTES: usize = 16 << 20;

/// Size of a page (`block_size`), unless PostgreSQL was built otherwise.
const PAGE_BYTES: u64 = 8 << 10;

/// What is known of a relation's size: from the catalog when the schema was loaded, and from
/// what has been read of it since.
#[derive(Debug, Clone, Default)]
pub struct Extent {
    /// Bytes on disk, what is stored apart included. `None` for views and tables that were never
    /// analysed.
    bytes: Option<u64>,
    /// The same for one row.
    row_bytes: Option<u64>,
    learned: Arc<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// A read without a limit had more than [`MAX_ROWS`].
    is_long: AtomicBool,
    /// A body had more than [`WIDE_BODY_BYTES`].
    is_wide: AtomicBool,
}

impl Extent {
    /// The extent of a relation of so many pages and rows, as `pg_class` has them.
    pub fn new(pages: i64, rows: f32) -> Self {
        let bytes = u64::try_from(pages).unwrap_or(0) * PAGE_BYTES;
        if rows < 1.0 {
            return Self::default();
        }
        let row_bytes = (bytes as f64 / f64::from(rows)).ceil() as u64;
        Self { bytes: Some(bytes), row_bytes: Some(row_bytes), learned: Arc::default() }
    }

    /// Whether that many rows are few.
    pub fn are_few(&self, rows: u64) -> bool {
        let bytes = self.row_bytes.unwrap_or(0).saturating_mul(rows);
        rows <= MAX_ROWS && bytes <= MAX_EXPECTED_BYTES && !is(&self.learned.is_wide)
    }

    /// Whether all rows, or some that nobody has counted, may be few.
    pub fn may_be_few(&self, is_filtered: bool) -> bool {
        let is_small = is_filtered || self.bytes.is_none_or(|bytes| bytes <= MAX_EXPECTED_BYTES);
        is_small && !is(&self.learned.is_long) && !is(&self.learned.is_wide)
    }

    /// Learns that a read without a limit had more than [`MAX_ROWS`].
    pub fn is_long(&self) {
        self.learned.is_long.store(true, Ordering::Relaxed);
    }

    /// Learns how many bytes the body of a read had.
    pub fn had_body(&self, bytes: usize) {
        if bytes > WIDE_BODY_BYTES {
            self.learned.is_wide.store(true, Ordering::Relaxed);
        }
    }
}

fn is(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_tells_how_much_to_expect() {
        let narrow = Extent::new(1_000_000, 1e8);
        assert!(narrow.are_few(1) && narrow.are_few(MAX_ROWS) && !narrow.are_few(MAX_ROWS + 1));
        assert!(!narrow.may_be_few(false) && narrow.may_be_few(true));
        let wide = Extent::new(1_000_000, 100.0);
        assert!(!wide.are_few(1));
        let unknown = Extent::new(0, -1.0);
        assert!(unknown.are_few(MAX_ROWS) && unknown.may_be_few(false));
    }

    #[test]
    fn what_was_read_tells_too() {
        let view = Extent::default();
        view.is_long();
        assert!(view.are_few(MAX_ROWS) && !view.may_be_few(false) && !view.may_be_few(true));
        view.had_body(WIDE_BODY_BYTES);
        assert!(view.are_few(1));
        view.had_body(WIDE_BODY_BYTES + 1);
        assert!(!view.are_few(1));
    }
}
