//! How much of a markdown text that still grows can't change its look any more. Knows paragraphs and code blocks,
//! no other markdown.

/// A code block that shows nothing yet of its end is cut at a line end from this size on.
const CODE_BYTES: usize = 1024;
/// A paragraph without an end is cut between two words from this size on.
const PARAGRAPH_BYTES: usize = 8 * 1024;

/// Where a text can be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// So many bytes are settled.
    pub(crate) at: usize,
    /// The line that opened the code block in which the cut is.
    pub(crate) fence: Option<String>,
}

/// Where a text can be cut, at the latest place; `fence` is the code block it begins in.
pub(crate) fn cut(text: &str, fence: Option<&str>) -> Option<Cut> {
    let mut fence = fence.map(str::to_owned);
    let mut best: Option<Cut> = None;
    let mut at = 0;
    let mut is_blank_before = false;
    for line in text.split_inclusive('\n') {
        let is_whole = line.ends_with('\n');
        if fence.is_none() && is_blank_before && at > 0 && begins_a_block(line) {
            best = Some(Cut { at, fence: None });
        }
        if !is_whole {
            break;
        }
        is_blank_before = line.trim().is_empty();
        at += line.len();
        match &fence {
            Some(open) if closes(line, open) => fence = None,
            Some(open) => {
                let begun = best.as_ref().map_or(0, |cut| cut.at);
                if at - begun >= CODE_BYTES {
                    best = Some(Cut { at, fence: Some(open.clone()) });
                }
            }
            None if opens(line) => fence = Some(line.trim().to_owned()),
            None => {}
        }
    }
    let begun = best.as_ref().map_or(0, |cut| cut.at);
    if text.len() - begun >= PARAGRAPH_BYTES && fence.is_none() {
        let word = text[begun..].rfind([' ', '\n']).map(|space| begun + space + 1);
        return word.map(|at| Cut { at, fence: None }).or(best);
    }
    best
}

/// Whether a line after a blank one can't belong to the block before it: it is not indented.
fn begins_a_block(line: &str) -> bool {
    line.starts_with(|letter: char| !letter.is_whitespace())
}

/// The letter and the length of a run of back-quotes or tildes that begins a line.
fn run(line: &str) -> Option<(char, usize)> {
    let line = line.trim();
    let letter = line.chars().next().filter(|letter| matches!(letter, '`' | '~'))?;
    let length = line.chars().take_while(|other| *other == letter).count();
    (length >= 3).then_some((letter, length))
}

fn opens(line: &str) -> bool {
    // CommonMark 0.31, 4.5: what follows back-quotes may hold none, else it is inline code.
    run(line).is_some_and(|(letter, length)| letter == '~' || !line.trim()[length..].contains('`'))
}

fn closes(line: &str, open: &str) -> bool {
    match (run(line), run(open)) {
        (Some((letter, length)), Some((opened, least))) => {
            letter == opened && length >= least && line.trim().len() == length
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> usize {
        cut(text, None).map_or(0, |cut| cut.at)
    }

    #[test]
    fn a_paragraph_is_settled_when_the_next_block_begins() {
        assert_eq!(at("one\n"), 0);
        assert_eq!(at("one\n\n"), 0);
        assert_eq!(at("one\n\nt"), 5);
        assert_eq!(at("one\n\ntwo\n\nthree"), 10);
    }

    #[test]
    fn what_is_indented_belongs_to_the_list_before_it() {
        assert_eq!(at("- one\n\n  more of one"), 0);
        assert_eq!(at("- one\n\n  more of one\n\nnext"), 22);
    }

    #[test]
    fn a_code_block_stays_whole_while_it_is_short() {
        assert_eq!(at("```\na\n\nb"), 0);
        assert_eq!(at("```\na\n\nb\n```\n\nc"), 14);
        assert_eq!(at("~~~\na\n```\n\nb"), 0);
        assert_eq!(at("say ```x```\n\nb"), 13);
    }

    #[test]
    fn a_long_code_block_is_cut_at_a_line_and_goes_on_as_code() {
        let text = format!("```rust\n{}", "let x = 1;\n".repeat(200));
        let cut = cut(&text, None).unwrap();
        assert_eq!(cut.fence.as_deref(), Some("```rust"));
        assert!(cut.at > CODE_BYTES && text[..cut.at].ends_with('\n'));
        let rest = super::cut("let y = 2;\n```\n\nafter", cut.fence.as_deref()).unwrap();
        assert_eq!(rest, Cut { at: 16, fence: None });
    }

    #[test]
    fn a_paragraph_without_an_end_is_cut_between_words() {
        let text = "word ".repeat(PARAGRAPH_BYTES / 4);
        assert!(text[..at(&text)].ends_with(' '));
        assert_eq!(at(&"x".repeat(3 * PARAGRAPH_BYTES)), 0);
    }
}
