//! How long a role's name may be. PostgreSQL cuts longer names off without an error, so the
//! role that it enters would be another one than the one that was verified.
//!
//! <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of a name in the database's encoding (`NAMEDATALEN` less the final zero).
const MAX_NAME_BYTES: usize = 63;

/// The most bytes that any encoding of a database takes for a character.
const MAX_CHARACTER_BYTES: usize = 4;

/// Stands for an encoding whose characters have as many bytes as in UTF-8.
const AS_UTF8: usize = 0;

/// The encoding of the database, as far as it matters for the length of names. Until it is
/// known, each character beyond ASCII counts for the most.
#[derive(Debug)]
pub struct ServerEncoding {
    character_bytes: AtomicUsize,
}

impl Default for ServerEncoding {
    fn default() -> Self {
        ServerEncoding { character_bytes: AtomicUsize::new(MAX_CHARACTER_BYTES) }
    }
}

impl ServerEncoding {
    /// Takes note of `server_encoding`.
    ///
    /// <https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED>
    pub fn set(&self, name: &str) {
        let character_bytes = match name {
            "UTF8" | "SQL_ASCII" => AS_UTF8,
            // Which characters take fewer bytes is for tables to know that are not here.
            "EUC_TW" | "MULE_INTERNAL" => MAX_CHARACTER_BYTES,
            "EUC_JP" | "EUC_JIS_2004" | "EUC_KR" | "EUC_CN" => 3,
            _ => 1,
        };
        self.character_bytes.store(character_bytes, Ordering::Relaxed);
    }

    /// Whether PostgreSQL takes the whole of a name.
    pub(super) fn takes_whole(&self, name: &str) -> bool {
        if name.len() * MAX_CHARACTER_BYTES <= MAX_NAME_BYTES {
            return true;
        }
        let bytes = match self.character_bytes.load(Ordering::Relaxed) {
            AS_UTF8 => name.len(),
            most => name.chars().map(|c| if c.is_ascii() { 1 } else { most }).sum(),
        };
        bytes <= MAX_NAME_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_in_bytes_of_the_databases_encoding() {
        for (encoding, character, most) in [
            ("UTF8", 'a', 63),
            ("UTF8", 'ü', 31),
            ("UTF8", '役', 21),
            ("SQL_ASCII", 'ü', 31),
            ("LATIN1", 'ü', 63),
            ("EUC_JP", '役', 21),
            ("EUC_TW", '役', 15),
            ("EUC_TW", 'a', 63),
        ] {
            let known = ServerEncoding::default();
            known.set(encoding);
            let name = |length| character.to_string().repeat(length);
            assert!(known.takes_whole(&name(most)), "{most} {character} in {encoding}");
            assert!(!known.takes_whole(&name(most + 1)), "{most} {character} in {encoding}");
        }
    }

    #[test]
    fn before_the_encoding_is_known_the_longest_counts() {
        let unknown = ServerEncoding::default();
        assert!(unknown.takes_whole(&"a".repeat(63)) && !unknown.takes_whole(&"a".repeat(64)));
        assert!(unknown.takes_whole(&"ü".repeat(15)) && !unknown.takes_whole(&"ü".repeat(16)));
    }
}
