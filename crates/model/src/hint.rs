//! Finding the word that was meant.

/// The most edits between a word and what it may have been meant for, however long it is.
const MOST_EDITS: usize = 3;

/// The one of `known` that differs from `text` in the fewest letters, if at most a third of the
/// letters do; the first by alphabet where several differ as little.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_by(text, known, |_| ())
}

/// The same, with the lowest `rank` where several differ as little.
pub fn nearest_by<'a, R: Ord>(
    text: &str,
    known: impl IntoIterator<Item = &'a str>,
    rank: impl Fn(&str) -> R,
) -> Option<&'a str> {
    let text: Vec<char> = text.chars().collect();
    let limit = (text.len() / 3).min(MOST_EDITS);
    known
        .into_iter()
        .filter_map(|word| Some((distance(&text, word, limit)?, word)))
        .min_by_key(|&(edits, word)| (edits, rank(word), word))
        .map(|(_, word)| word)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`;
/// `None` above `limit` (restricted Damerau–Levenshtein distance).
fn distance(a: &[char], b: &str, limit: usize) -> Option<usize> {
    // Before anything is allocated: this is asked of thousands of words.
    if a.len().abs_diff(b.chars().count()) > limit {
        return None;
    }
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|&found| found <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_found_and_far_ones_are_not() {
        let known = ["http", "https", "ssh", "smtp"];
        assert_eq!(nearest("htp", known), Some("http"));
        assert_eq!(nearest("htpps", known), Some("https"));
        assert_eq!(nearest("shs", known), Some("ssh"));
        assert_eq!(nearest("postgres", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn no_more_than_a_third_of_the_letters_may_differ() {
        assert_eq!(nearest("opne", ["open"]), Some("open"));
        assert_eq!(nearest("oxxn", ["open"]), None);
        assert_eq!(nearest("script", ["scope"]), None);
        assert_eq!(nearest("frobnicate", ["min-rate"]), None);
    }

    #[test]
    fn of_words_that_are_equally_near_the_lowest_rank_is_meant() {
        let known = ["htcp", "http"];
        assert_eq!(nearest("htpp", known), Some("htcp"));
        let rank = |word: &str| usize::from(word != "http");
        assert_eq!(nearest_by("htpp", known, rank), Some("http"));
        assert_eq!(nearest_by("htcpp", known, rank), Some("htcp"), "nearer");
    }
}
