//! How much of a markdown text that still grows can't change its look any more. Knows paragraphs and code blocks,
//! no other markdown.

use crate::block::Joint;

/// A code block that shows nothing yet of its end is cut at a line end from this size on.
const CODE_BYTES: usize = 1024;
/// A paragraph or a list without an end is cut between two words or items from this size on.
const PARAGRAPH_BYTES: usize = 8 * 1024;
/// A shorter line of it is not cut: the next one is.
const LINE_BYTES: usize = 1024;
/// What an item of a list begins with, where it has no number.
const BULLETS: [&str; 3] = ["- ", "* ", "+ "];

/// Where a text can be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// So many bytes are settled.
    pub(crate) at: usize,
    /// The line that opened the code block in which the cut is.
    pub(crate) fence: Option<String>,
    /// How what follows goes on.
    pub(crate) joint: Joint,
}

/// Where a text is cut; `fence` is the code block it begins in. A cut hangs on what is before it and a few letters
/// behind it: so a text that comes in pieces, whatever they are, is cut where the whole is.
pub(crate) fn cuts(text: &str, fence: Option<&str>) -> Vec<Cut> {
    let mut fence = fence.map(str::to_owned);
    let mut cuts = Vec::new();
    let (mut begun, mut at) = (0, 0);
    let mut before = Before::Text;
    for line in text.split_inclusive('\n') {
        if fence.is_none() {
            let joint = (at > begun).then(|| joint(before, line, at - begun)).flatten();
            if let Some(joint) = joint {
                cuts.push(Cut { at, fence: None, joint });
                begun = at;
            }
            // A line that is long itself: between two words of it.
            let least = |begun: usize| (begun + PARAGRAPH_BYTES).saturating_sub(at).max(LINE_BYTES);
            while is_text(line)
                && let Some(word) = word_from(line, least(begun))
            {
                begun = at + word;
                cuts.push(Cut { at: begun, fence: None, joint: Joint::Word });
            }
        }
        if !line.ends_with('\n') {
            break;
        }
        at += line.len();
        match &fence {
            Some(open) if closes(line, open) => fence = None,
            Some(open) if at - begun >= CODE_BYTES => {
                cuts.push(Cut { at, fence: Some(open.clone()), joint: Joint::Row });
                begun = at;
            }
            None if opens(line) => fence = Some(line.trim().to_owned()),
            Some(_) | None => {}
        }
        before = Before::of(line);
    }
    cuts
}

/// The line before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Blank,
    Text,
    /// Text, with a break of the line after it.
    Broken,
    Other,
}

impl Before {
    fn of(line: &str) -> Self {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.trim().is_empty() {
            Self::Blank
        } else if !is_text(line) {
            Self::Other
        } else if line.ends_with("  ") || line.ends_with('\\') {
            Self::Broken
        } else {
            Self::Text
        }
    }
}

/// How a line goes on if the text is cut before it, so many bytes after the last cut; absent if it is not.
fn joint(before: Before, line: &str, length: usize) -> Option<Joint> {
    match before {
        Before::Blank => begins_a_block(line).then_some(Joint::Apart),
        Before::Text | Before::Broken | Before::Other if length < PARAGRAPH_BYTES => None,
        Before::Text | Before::Broken | Before::Other if is_list_item(line) => Some(Joint::Row),
        Before::Text if begins_a_word(line) => Some(Joint::Word),
        Before::Broken if begins_a_word(line) => Some(Joint::Row),
        Before::Text | Before::Broken | Before::Other => None,
    }
}

/// The first word that begins there or behind it, and not with what means something at the beginning of a line.
fn word_from(line: &str, least: usize) -> Option<usize> {
    let bytes = line.as_bytes();
    let begins = |at: &usize| bytes.get(at - 1) == Some(&b' ') && line.get(*at..).is_some_and(begins_a_word);
    (least.max(1)..line.len()).find(begins)
}

fn begins_a_word(text: &str) -> bool {
    text.starts_with(char::is_alphabetic)
}

/// Whether a line is no heading, table, quote or fence.
fn is_text(line: &str) -> bool {
    !line.trim_start().starts_with(['#', '|', '>', '`', '~', '<', '='])
}

fn is_list_item(line: &str) -> bool {
    let digits = line.bytes().take(9).take_while(u8::is_ascii_digit).count();
    let marker = &line[digits..];
    if digits > 0 {
        marker.starts_with(". ") || marker.starts_with(") ")
    } else {
        BULLETS.iter().any(|bullet| line.starts_with(bullet))
    }
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
    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn at(text: &str) -> usize {
        cuts(text, None).last().map_or(0, |cut| cut.at)
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
        let cuts = cuts(&text, None);
        let cut = cuts.last().unwrap();
        assert_eq!((cut.fence.as_deref(), cut.joint), (Some("```rust"), Joint::Row));
        assert!(cut.at > CODE_BYTES && text[..cut.at].ends_with('\n'));
        let rest = super::cuts("let y = 2;\n```\n\nafter", cut.fence.as_deref());
        assert_eq!(rest, [Cut { at: 16, fence: None, joint: Joint::Apart }]);
    }

    #[test]
    fn a_paragraph_without_an_end_is_cut_between_words() {
        let text = "word ".repeat(PARAGRAPH_BYTES / 4);
        let cuts = cuts(&text, None);
        assert_eq!(cuts.len(), 1);
        assert_eq!(cuts[0].joint, Joint::Word);
        assert!(text[..cuts[0].at].ends_with(' ') && cuts[0].at < PARAGRAPH_BYTES + 5);
        assert_eq!(at(&"x".repeat(3 * PARAGRAPH_BYTES)), 0);
        assert_eq!(at(&"- # ".repeat(PARAGRAPH_BYTES)), 0, "no word begins there");
    }

    #[test]
    fn a_list_without_an_end_is_cut_between_items() {
        for item in ["- one of many\n", "10. one of many\n"] {
            let text = item.repeat(PARAGRAPH_BYTES / 5);
            let cuts = cuts(&text, None);
            assert!(cuts.len() > 1);
            for cut in cuts {
                assert!(text[cut.at..].starts_with(item), "{}", &text[cut.at..cut.at + 20]);
                assert_eq!(cut.joint, Joint::Row);
            }
        }
    }

    #[test]
    fn lines_of_a_paragraph_flow_on_behind_a_cut() {
        let line = "a line of a paragraph\n";
        let cuts = cuts(&line.repeat(500), None);
        assert_eq!((cuts[0].at % line.len(), cuts[0].joint), (0, Joint::Word));
        let broken = super::cuts(&"a line of its own  \n".repeat(500), None);
        assert_eq!(broken[0].joint, Joint::Row);
        let table = "| a | b |\n|---|---|\n".to_owned() + &"| long word | x |\n".repeat(1000);
        assert_eq!(at(&table), 0, "a table is one");
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\n".to_owned()),
            Just("\n\n".to_owned()),
            Just("```rust\n".to_owned()),
            Just("\n```\n".to_owned()),
            Just("- item\n".to_owned()),
            Just("12. item\n".to_owned()),
            Just("# head\n".to_owned()),
            Just("| a | b |\n".to_owned()),
            Just("  indented\n".to_owned()),
            (1..400_usize).prop_map(|count| "word ".repeat(count)),
            (1..900_usize).prop_map(|count| "- # 12. é wörd ".repeat(count)),
            (1..400_usize).prop_map(|count| "- an item of a list\n".repeat(count)),
            (1..400_usize).prop_map(|count| "let x = y;\n".repeat(count)),
            (1..400_usize).prop_map(|count| "a line  \n".repeat(count)),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_text_is_cut_where_it_is_whatever_the_pieces_that_it_comes_in(
            text in text(),
            lengths in proptest::collection::vec(1..3000_usize, 1..20),
        ) {
            let whole = cuts(&text, None);
            let (mut found, mut begun, mut fence) = (Vec::new(), 0, None::<String>);
            let mut heard = 0;
            let mut lengths = lengths.into_iter().cycle();
            while heard < text.len() {
                heard = (heard + lengths.next().unwrap_or(1)).min(text.len());
                while !text.is_char_boundary(heard) {
                    heard += 1;
                }
                let new = cuts(&text[begun..heard], fence.as_deref());
                let from = begun;
                for cut in new {
                    begun = from + cut.at;
                    fence.clone_from(&cut.fence);
                    found.push(Cut { at: begun, ..cut });
                }
            }
            prop_assert_eq!(found, whole);
        }
    }
}
