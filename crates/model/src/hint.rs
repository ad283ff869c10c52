//! Finding the word that was meant.

/// The one of `known` that differs from `text` in the fewest letters, if few enough do.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text: Vec<char> = text.chars().collect();
    let limit = match text.len() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .filter_map(|word| Some((distance(&text, word, limit)?, word)))
        .min()
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
}
