//! What the manual page says of a subcommand, for a terminal.

const PAGE: &str = include_str!("../../../../man/stmfadm.8");
/// Longest line, in columns.
const WIDTH: usize = 76;

/// The lines of its entry; none if the page has no entry for it.
pub fn entry(subcommand: &str) -> Vec<String> {
    let mut lines = PAGE.lines();
    let heads = |line: &str| line.starts_with(".B") && plain(line).split([' ', ',']).any(|word| word == subcommand);
    while let Some(line) = lines.next() {
        if line != ".TP" {
            continue;
        }
        if lines.next().is_some_and(heads) {
            return fill(lines.take_while(|line| !ends(line)));
        }
    }
    Vec::new()
}

fn ends(line: &str) -> bool {
    [".TP", ".PP", ".SS", ".SH"].iter().any(|end| line.starts_with(end))
}

/// As it is read: without fonts and requests.
fn plain(line: &str) -> String {
    let mut text = line.replace("\\-", "-").replace("\\&", "");
    for font in ["\\fB", "\\fI", "\\fR"] {
        text = text.replace(font, "");
    }
    let arguments = match text.strip_prefix('.').and_then(|request| request.split_once(' ')) {
        // Two fonts in turn: what stands in quotes is one argument, and nothing comes between them.
        Some(("BR" | "IR", arguments)) => return joined(arguments),
        Some((_, arguments)) => arguments,
        None => text.as_str(),
    };
    arguments.replace('"', "")
}

fn joined(arguments: &str) -> String {
    let pieces = arguments.split('"').enumerate();
    pieces
        .map(|(at, piece)| {
            if at % 2 == 1 {
                piece.to_owned()
            } else {
                piece.replace(' ', "")
            }
        })
        .collect()
}

/// Paragraphs of lines that are full.
fn fill<'a>(source: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = vec![String::new()];
    for line in source {
        if line == ".IP" {
            lines.push(String::new());
        }
        for word in plain(line).split_whitespace().filter(|_| line != ".IP") {
            let last = lines.last_mut().expect("there is one");
            if last.is_empty() {
                *last = word.to_owned();
            } else if last.chars().count() + 1 + word.chars().count() <= WIDTH {
                *last += " ";
                *last += word;
            } else {
                lines.push(word.to_owned());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry() {
        let text = entry("delete-lu");
        let expected = [
            "Unloads LUs and removes their view entries (with -k the entries stay). Data",
            "and metadata stay in the store.",
        ];
        assert_eq!(text, expected);
        assert!(entry("compare-peer").join(" ").contains("(aluaadm mirror)"));
        assert!(entry("status").join(" ").contains("stmfd(8) --metrics"));
        assert_eq!(entry("nothing"), [""; 0]);
    }

    #[test]
    fn each_subcommand_has_one() {
        for row in super::super::TOOL.subcommands {
            assert!(!entry(row.name).is_empty(), "{}", row.name);
            let text = entry(row.name).concat();
            assert!(!text.contains('\\'), "{text}");
        }
    }
}
