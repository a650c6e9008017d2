//! Long texts in a few lines: head, tail, and how much lies between. Knows nothing of widths.

/// The lines that are shown of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded<'a> {
    /// The first lines.
    pub head: Vec<&'a str>,
    /// How many lines were left out.
    pub left_out: usize,
    /// The last lines; empty if nothing was left out.
    pub tail: Vec<&'a str>,
}

/// At most so many lines from the head and from the tail. One line is never left out: it would take as much room
/// to say so.
#[must_use]
pub fn lines(text: &str, head: usize, tail: usize) -> Folded<'_> {
    let all: Vec<&str> = text.trim_end().lines().collect();
    if all.len() <= head + tail + 1 {
        return Folded { head: all, ..Folded::default() };
    }
    let end = all.len() - tail;
    Folded { head: all[..head].to_vec(), left_out: end - head, tail: all[end..].to_vec() }
}

/// The last lines of a text that grows; a line without an end counts.
#[must_use]
pub fn tail(text: &str, most: usize) -> Vec<&str> {
    let mut lines: Vec<&str> = text.trim_end().lines().rev().take(most).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_shows_its_head_and_its_tail() {
        let text = "1\n2\n3\n4\n5\n6\n\n";
        assert_eq!(lines(text, 2, 1), Folded { head: vec!["1", "2"], left_out: 3, tail: vec!["6"] });
        assert_eq!(lines(text, 3, 2).head.len(), 6, "one line is not left out");
        assert_eq!(lines("", 2, 1), Folded::default());
    }

    #[test]
    fn the_tail_is_in_order() {
        assert_eq!(tail("a\nb\nc", 2), ["b", "c"]);
        assert!(tail("", 2).is_empty());
    }
}
