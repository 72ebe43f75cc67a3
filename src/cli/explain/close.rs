//! Which of many names may have been meant.

/// The name with the fewest differences, if they are few; the first of equals.
pub fn closest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (typed.chars().count() / 3).clamp(1, 3);
    let distances = names.into_iter().map(|name| (distance(typed, name), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (1..=most).contains(&distance).then_some(name)
}

/// Letters to insert, to remove or to change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(
            (distance("kitten", "sitting"), distance("", "abc"), distance("a", "a")),
            (3, 3, 0)
        );
    }

    #[test]
    fn near_names_only() {
        assert_eq!(closest("esx-prd", ["backup", "esx-prod"]), Some("esx-prod"));
        assert_eq!(closest("list-l", ["list-lu", "list-hg"]), Some("list-lu"));
        assert_eq!(closest("web", ["backup"]), None);
        assert_eq!(closest("web", ["web"]), None, "that is not what was wrong");
        assert_eq!(closest("web", []), None);
    }
}
