//! "Perhaps you meant": the name nearest to a misspelt one.
//!
//! The measure is FuzzySet's, which clients of PostgREST know: candidates share a
//! three-letter (failing that a two-letter) piece with the name, and are ranked by edit
//! distance relative to length. Anybody can ask for names that there are not, so the work
//! for each is bounded whatever the schema and the name.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Only so many of the best by shared pieces are compared letter by letter.
const MAX_COMPARED: usize = 50;

/// Pairs of letters that all comparisons for one name may look at together. Names of
/// PostgreSQL's (63 bytes) stay far below it; long lists of arguments may not.
const MAX_COMPARED_PAIRS: usize = 1 << 20;

/// How near a candidate must be, from 0 (nothing in common) to 1 (the same).
#[derive(Debug, Clone, Copy)]
pub struct MinScore(f64);

/// For names in a small set, such as the targets of one relation.
pub const LOOSE: MinScore = MinScore(0.33);

/// For names in a large set, where something far-fetched is easily found.
pub const STRICT: MinScore = MinScore(0.75);

/// Names among which the nearest one is found without looking at each.
#[derive(Debug, Clone)]
pub struct NameIndex {
    names: Vec<Name>,
    threes: Pieces<3>,
    twos: Pieces<2>,
    /// Letters of the longest name.
    longest: usize,
}

#[derive(Debug, Clone)]
struct Name {
    original: Box<str>,
    lower: Box<[char]>,
}

/// An index that is made when it is asked for the first time: by then somebody has
/// misspelt a name.
pub type LazyIndex = OnceLock<NameIndex>;

impl NameIndex {
    /// An index of `names`. Of names that are equally near the first one is found.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let names: Vec<Name> = names
            .into_iter()
            .map(|name| Name { original: name.into(), lower: letters(name).into() })
            .collect();
        let longest = names.iter().map(|name| name.lower.len()).max().unwrap_or(0);
        Self { threes: Pieces::of(&names), twos: Pieces::of(&names), names, longest }
    }

    /// The name nearest to `name`, when one is near enough.
    pub fn nearest(&self, name: &str, min_score: MinScore) -> Option<&str> {
        // As many letters as one name is longer than the other have to be changed at least.
        let reachable = self.longest as f64 / min_score.0;
        if name.chars().take(reachable as usize + 1).count() as f64 > reachable {
            return None;
        }
        let wanted = letters(name);
        if let Some(same) = self.names.iter().find(|name| *name.lower == *wanted) {
            return Some(&same.original);
        }
        self.best_of(&wanted, &self.threes.sharing(&wanted), min_score)
            .or_else(|| self.best_of(&wanted, &self.twos.sharing(&wanted), min_score))
    }

    /// Whether `name` is one of the names.
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| *known.original == *name)
    }

    /// The best of some names by edit distance; of equals the first wins.
    fn best_of(&self, wanted: &[char], numbers: &[usize], min_score: MinScore) -> Option<&str> {
        let mut pairs_left = MAX_COMPARED_PAIRS;
        let mut best: Option<(f64, &str)> = None;
        for name in numbers.iter().map(|number| &self.names[*number]) {
            pairs_left = pairs_left.checked_sub(wanted.len() * name.lower.len())?;
            let longest = wanted.len().max(name.lower.len()) as f64;
            let score = 1.0 - edit_distance(wanted, &name.lower) as f64 / longest;
            if score >= min_score.0 && best.is_none_or(|(top, _)| score > top) {
                best = Some((score, &name.original));
            }
        }
        best.map(|(_, name)| name)
    }
}

fn letters(name: &str) -> Vec<char> {
    name.to_lowercase().chars().collect()
}

/// Which names have which runs of `N` letters, and how often.
#[derive(Debug, Clone)]
struct Pieces<const N: usize> {
    /// For each piece the numbers of the names and how often each has it.
    holders: HashMap<[char; N], Vec<(u32, u32)>>,
    /// For each name the length of its vector of counts.
    lengths: Vec<f32>,
}

impl<const N: usize> Pieces<N> {
    fn of(names: &[Name]) -> Self {
        let mut pieces = Self { holders: HashMap::new(), lengths: Vec::new() };
        for (number, name) in (0..).zip(names) {
            let counts = counts::<N>(&name.lower);
            pieces.lengths.push(length(&counts) as f32);
            for (piece, count) in counts {
                pieces.holders.entry(piece).or_default().push((number, count));
            }
        }
        pieces
    }

    /// The names that share most with `wanted`, best first; at most [`MAX_COMPARED`].
    fn sharing(&self, wanted: &[char]) -> Vec<usize> {
        let mut dots = vec![0.0_f64; self.lengths.len()];
        for (piece, count) in counts::<N>(wanted) {
            for (number, times) in self.holders.get(&piece).into_iter().flatten() {
                dots[*number as usize] += f64::from(count) * f64::from(*times);
            }
        }
        let mut sharing: Vec<(f64, usize)> = (dots.iter().zip(&self.lengths).enumerate())
            .filter(|(_, (dot, _))| **dot > 0.0)
            // The length of `wanted` is the same for all.
            .map(|(number, (dot, length))| (dot / f64::from(*length), number))
            .collect();
        let order =
            |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1));
        if sharing.len() > MAX_COMPARED {
            sharing.select_nth_unstable_by(MAX_COMPARED, order);
            sharing.truncate(MAX_COMPARED);
        }
        sharing.sort_unstable_by(order);
        sharing.into_iter().map(|(_, number)| number).collect()
    }
}

/// How often each run of `N` letters occurs in a name that stands between dashes.
fn counts<const N: usize>(name: &[char]) -> HashMap<[char; N], u32> {
    let letters: Vec<char> = std::iter::once('-')
        .chain(name.iter().copied().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | ',')))
        .chain(std::iter::once('-'))
        .collect();
    let mut counts = HashMap::with_capacity(letters.len());
    for piece in letters.windows(N).filter_map(|piece| <[char; N]>::try_from(piece).ok()) {
        *counts.entry(piece).or_insert(0) += 1;
    }
    counts
}

fn length<const N: usize>(counts: &HashMap<[char; N], u32>) -> f64 {
    counts.values().map(|count| f64::from(*count).powi(2)).sum::<f64>().sqrt()
}

/// Levenshtein distance.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near<'i>(name: &str, index: &'i NameIndex) -> Option<&'i str> {
        index.nearest(name, LOOSE)
    }

    #[test]
    fn a_slip_finds_the_name() {
        let index = NameIndex::new(["authors", "books", "book_genres"]);
        assert_eq!(near("bookz", &index), Some("books"));
        assert_eq!(near("autors", &index), Some("authors"));
        assert_eq!(near("BOOKS", &index), Some("books"));
    }

    #[test]
    fn names_that_share_only_two_letters_are_found_when_nothing_shares_three() {
        assert_eq!(near("keys", &NameIndex::new(["books", "events"])), Some("events"));
    }

    #[test]
    fn nothing_near_gives_nothing() {
        let index = NameIndex::new(["authors", "books"]);
        assert_eq!(near("zzz", &index), None);
        assert_eq!(near("", &index), None);
        assert_eq!(near("books", &NameIndex::new([])), None);
    }

    #[test]
    fn a_name_too_long_for_any_score_is_not_looked_at() {
        let index = NameIndex::new(["books"]);
        // 5 of 15 letters are a third, 5 of 16 are less.
        assert_eq!(near("booksbooksbooks", &index), Some("books"));
        assert_eq!(near("booksbooksbooksb", &index), None);
        assert_eq!(near(&"books".repeat(1 << 20), &index), None);
    }

    #[test]
    fn distances_are_levenshtein_s() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(edit_distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(edit_distance(&[], &chars("abc")), 3);
    }

    /// The measure without an index: every candidate is compared.
    fn nearest_of_all<'n>(name: &str, names: &[&'n str], min: MinScore) -> Option<&'n str> {
        let wanted = letters(name);
        if let Some(same) = names.iter().find(|name| letters(name) == wanted) {
            return Some(same);
        }
        by_pieces::<3>(&wanted, names, min).or_else(|| by_pieces::<2>(&wanted, names, min))
    }

    fn by_pieces<'n, const N: usize>(
        wanted: &[char],
        names: &[&'n str],
        min: MinScore,
    ) -> Option<&'n str> {
        let pieces = counts::<N>(wanted);
        let mut best = None;
        for name in names {
            let lower = letters(name);
            if !counts::<N>(&lower).keys().any(|piece| pieces.contains_key(piece)) {
                continue;
            }
            let longest = wanted.len().max(lower.len()) as f64;
            let score = 1.0 - edit_distance(wanted, &lower) as f64 / longest;
            if score >= min.0 && best.is_none_or(|(top, _)| score > top) {
                best = Some((score, *name));
            }
        }
        best.map(|(_, name)| name)
    }

    proptest! {
        #[test]
        fn the_index_finds_a_name_as_near_as_a_look_at_all(
            names in prop::collection::vec("[ab_c]{1,8}", 1..40),
            name in "[abc_]{0,10}",
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let distance = |found: Option<&str>| {
                found.map(|found| {
                    let (wanted, found) = (letters(&name), letters(found));
                    let longest = wanted.len().max(found.len()) as f64;
                    (edit_distance(&wanted, &found) as f64 / longest * 1e9).round() as u64
                })
            };
            for min in [LOOSE, STRICT] {
                let found = NameIndex::new(names.iter().copied()).nearest(&name, min).map(str::to_owned);
                prop_assert_eq!(
                    distance(found.as_deref()),
                    distance(nearest_of_all(&name, &names, min))
                );
            }
        }
    }
}
