//! "Perhaps you meant": the name nearest to a misspelt one.
//!
//! The measure is FuzzySet's, which clients of PostgREST know: candidates share a
//! three-letter (failing that a two-letter) piece with the name, and are ranked by edit
//! distance relative to length.

/// Only so many of the best by shared pieces are compared letter by letter.
const MAX_COMPARED: usize = 50;

/// How near a candidate must be, from 0 (nothing in common) to 1 (the same).
#[derive(Debug, Clone, Copy)]
pub struct MinScore(f64);

/// For names in a small set, such as the targets of one relation.
pub const LOOSE: MinScore = MinScore(0.33);

/// For names in a large set, where something far-fetched is easily found.
pub const STRICT: MinScore = MinScore(0.75);

/// The candidate nearest to `name`, when one is near enough. Of equals the first wins.
pub fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    min_score: MinScore,
) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let candidates: Vec<(&str, Vec<char>)> =
        candidates.map(|c| (c, c.to_lowercase().chars().collect())).collect();
    if let Some((same, _)) = candidates.iter().find(|(_, lower)| *lower == wanted) {
        return Some(same);
    }
    [3, 2].into_iter().find_map(|size| nearest_by_pieces(&wanted, &candidates, size, min_score))
}

fn nearest_by_pieces<'a>(
    wanted: &[char],
    candidates: &[(&'a str, Vec<char>)],
    size: usize,
    MinScore(min_score): MinScore,
) -> Option<&'a str> {
    let pieces = Pieces::of(wanted, size);
    let mut sharing: Vec<(f64, &(&str, Vec<char>))> = candidates
        .iter()
        .map(|candidate| (pieces.cosine(&Pieces::of(&candidate.1, size)), candidate))
        .filter(|(cosine, _)| *cosine > 0.0)
        .collect();
    sharing.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Option<(f64, &str)> = None;
    for (_, (original, lower)) in sharing.into_iter().take(MAX_COMPARED) {
        let longest = wanted.len().max(lower.len()) as f64;
        let score = 1.0 - edit_distance(wanted, lower) as f64 / longest;
        if score >= min_score && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, original));
        }
    }
    best.map(|(_, name)| name)
}

/// How often each run of `size` letters occurs in a name that stands between dashes.
struct Pieces(Vec<(Vec<char>, f64)>);

impl Pieces {
    fn of(name: &[char], size: usize) -> Self {
        let letters: Vec<char> = std::iter::once('-')
            .chain(name.iter().copied().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | ',')))
            .chain(std::iter::once('-'))
            .collect();
        let mut pieces: Vec<(Vec<char>, f64)> = Vec::new();
        for piece in letters.windows(size) {
            match pieces.iter_mut().find(|(p, _)| p == piece) {
                Some((_, count)) => *count += 1.0,
                None => pieces.push((piece.to_vec(), 1.0)),
            }
        }
        Pieces(pieces)
    }

    fn cosine(&self, other: &Pieces) -> f64 {
        let dot: f64 = self
            .0
            .iter()
            .filter_map(|(p, n)| other.0.iter().find(|(q, _)| p == q).map(|(_, m)| n * m))
            .sum();
        if dot == 0.0 { 0.0 } else { dot / (self.length() * other.length()) }
    }

    fn length(&self) -> f64 {
        self.0.iter().map(|(_, n)| n * n).sum::<f64>().sqrt()
    }
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

    fn near<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
        nearest(name, candidates.iter().copied(), LOOSE)
    }

    #[test]
    fn a_slip_finds_the_name() {
        assert_eq!(near("bookz", &["authors", "books", "book_genres"]), Some("books"));
        assert_eq!(near("autors", &["books", "authors"]), Some("authors"));
    }

    #[test]
    fn names_that_share_only_two_letters_are_found_when_nothing_shares_three() {
        assert_eq!(near("keys", &["books", "events"]), Some("events"));
    }

    #[test]
    fn nothing_near_gives_nothing() {
        assert_eq!(near("zzz", &["authors", "books"]), None);
        assert_eq!(near("", &[]), None);
    }

    #[test]
    fn distances_are_levenshtein_s() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(edit_distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(edit_distance(&[], &chars("abc")), 3);
    }
}
