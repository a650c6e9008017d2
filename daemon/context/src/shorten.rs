//! Texts cut to a size, with a word of how much is missing. Knows nothing of what they are.

/// The beginning and the end of a text, of so many bytes together; what is between is left out, and said so.
pub(crate) fn middle(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(most / 4 * 3);
    let tail = text.ceil_char_boundary(text.len() - most / 4);
    let left_out = tail - head;
    format!("{}\n[… {left_out} of {} bytes left out …]\n{}", &text[..head], text.len(), &text[tail..])
}

/// The end of a text, of so many bytes; that there was more is said.
pub(crate) fn end(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let from = text.ceil_char_boundary(text.len() - most);
    format!("[… {from} of {} bytes left out …]\n{}", text.len(), &text[from..])
}

/// A text on one line, cut after so many characters.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(most) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// The last of these that fit into so many bytes together, in their order, and how many do not.
pub(crate) fn newest(all: Vec<String>, most: usize) -> (Vec<String>, usize) {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len() + 1;
        bytes <= most
    };
    let kept = all.iter().rev().take_while(fits).count();
    let left_out = all.len() - kept;
    (all.into_iter().skip(left_out).collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_never_cuts_a_character() {
        assert_eq!(middle("short", 10), "short");
        let long = "ä".repeat(100);
        let cut = middle(&long, 41);
        assert!(
            cut.starts_with("äää") && cut.ends_with("äää") && cut.contains("of 200 bytes left out"),
            "{cut}"
        );
        assert!(end(&long, 11).ends_with("]\näääää"));
        assert_eq!(line("a  b\nc d", 5), "a b c…");
    }

    #[test]
    fn the_newest_stay() {
        let all = ["one", "two", "three"].map(str::to_owned).to_vec();
        assert_eq!(newest(all.clone(), 10), (vec!["two".to_owned(), "three".to_owned()], 1));
        assert_eq!(newest(all, 3), (Vec::new(), 3));
    }
}
