//! What keys do to the text that is being written.

use proptest::prelude::{any, prop_assert, proptest};

use super::*;

fn typed(text: &str) -> Composer {
    let mut composer = Composer::default();
    composer.insert(text);
    composer
}

#[test]
fn a_long_paste_is_one_letter_and_is_sent_whole() {
    let paste = "line\r\n".repeat(120);
    let mut composer = typed("see ");
    composer.paste(&paste);
    composer.insert(" there");
    assert_eq!(composer.layout(40).rows, ["see [pasted 120 lines] there"]);
    assert_eq!(composer.text(), format!("see {} there", "line\n".repeat(120)));
    for _ in 0..7 {
        composer.backspace();
    }
    assert_eq!(composer.send().text, "see ");
}

#[test]
fn a_short_paste_is_text_and_nothing_pasted_is_a_chip() {
    let mut composer = Composer::default();
    composer.paste("a\u{f0000}\rb");
    assert_eq!(composer.text(), "a\nb");
}

#[test]
fn the_cursor_moves_by_letters_as_people_see_them() {
    let mut composer = typed("a👩\u{200d}💻e\u{301}");
    composer.go(Motion::Left);
    composer.backspace();
    assert_eq!(composer.text(), "ae\u{301}");
    composer.delete();
    assert_eq!(composer.text(), "a");
}

#[test]
fn words_are_passed_and_removed() {
    let mut composer = typed("one two  three");
    composer.remove_to(Motion::WordLeft);
    assert_eq!(composer.text(), "one two  ");
    composer.go(Motion::WordLeft);
    composer.remove_to(Motion::LineStart);
    assert_eq!(composer.text(), "two  ");
    composer.go(Motion::WordRight);
    composer.remove_to(Motion::LineEnd);
    assert_eq!(composer.text(), "two");
}

#[test]
fn up_and_down_go_through_lines_and_then_through_what_was_sent() {
    let mut composer = typed("first");
    composer.send();
    composer.insert("second");
    composer.send();
    composer.insert("ab\ncd");
    composer.up();
    assert_eq!(composer.layout(10).cursor, (0, 2));
    composer.up();
    assert_eq!(composer.text(), "second");
    composer.up();
    composer.up();
    assert_eq!(composer.text(), "first");
    composer.down();
    composer.down();
    assert_eq!(composer.text(), "ab\ncd");
}

#[test]
fn what_could_not_be_sent_comes_back_before_what_was_written_since() {
    let mut composer = typed("new ");
    composer.paste(&"x\n".repeat(20));
    composer.give_back(&"y\n".repeat(20).into());
    assert_eq!(composer.text(), format!("{}\nnew {}", "y\n".repeat(20), "x\n".repeat(20)));
}

#[test]
fn rows_are_as_wide_as_the_screen_and_the_cursor_is_on_one() {
    assert_eq!(typed("abcd").layout(4).rows, ["abcd", ""]);
    assert_eq!(typed("日本語").layout(4).rows, ["日本", "語"]);
    assert_eq!(
        typed("a\n\nb").layout(4),
        Layout { rows: vec!["a".to_owned(), String::new(), "b".to_owned()], cursor: (2, 1) }
    );
}

#[test]
fn changes_are_taken_back_and_made_again() {
    let mut composer = Composer::default();
    for letter in ["o", "n", "e", " ", "t", "w", "o"] {
        composer.insert(letter);
    }
    composer.remove_to(Motion::LineStart);
    assert!(composer.is_empty());
    composer.undo();
    assert_eq!(composer.text(), "one two");
    composer.undo();
    assert_eq!(composer.text(), "one ", "a word at a time");
    composer.redo();
    composer.redo();
    composer.put_removed();
    assert_eq!(composer.text(), "one two");
}

#[test]
fn the_word_at_the_cursor_can_be_replaced() {
    let mut composer = typed("see @src/m");
    assert_eq!(composer.word(), (4, "@src/m"));
    composer.replace_from(4, "src/main.rs ");
    assert_eq!(composer.text(), "see src/main.rs ");
    assert_eq!(composer.word(), (16, ""));
}

#[test]
fn what_was_sent_elsewhere_comes_before_what_was_sent_here() {
    let mut composer = typed("here");
    composer.send();
    composer.precede_history(vec!["there".to_owned()]);
    composer.up();
    composer.up();
    assert_eq!(composer.text(), "there");
}

proptest! {
    #[test]
    fn no_order_of_edits_breaks_it(edits in proptest::collection::vec((0..18_u8, any::<char>()), 0..60)) {
        let mut composer = Composer::default();
        for (edit, letter) in edits {
            match edit {
                0 => composer.backspace(),
                1 => composer.delete(),
                2 => composer.up(),
                3 => composer.down(),
                4 => composer.go(Motion::Left),
                5 => composer.go(Motion::WordLeft),
                6 => composer.remove_to(Motion::WordRight),
                7 => composer.paste(&format!("{letter}\n").repeat(20)),
                8 => composer.insert("\u{301}"),
                9 => composer.give_back(&"back".to_owned().into()),
                10 => drop(composer.send().text),
                11 => composer.insert("\n"),
                12 => composer.undo(),
                13 => composer.redo(),
                14 => composer.put_removed(),
                15 => {
                    let (from, _) = composer.word();
                    composer.replace_from(from, "word ");
                }
                _ => composer.insert(letter.encode_utf8(&mut [0; 4])),
            }
            let layout = composer.layout(7);
            prop_assert!(layout.cursor.0 < layout.rows.len() && layout.cursor.1 < 7);
        }
    }
}

#[test]
fn an_image_is_one_letter_and_comes_back_when_it_could_not_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n....").unwrap();
    let image = Image::read(&path).unwrap();
    let mut composer = typed("see  there");
    for _ in 0..6 {
        composer.go(Motion::Left);
    }
    composer.put_image(image);
    assert_eq!(composer.layout(60).rows, ["see [image, 1 kB png] there"]);
    let said = composer.send();
    assert_eq!((said.text.as_str(), said.images.len()), ("see  there", 1));
    assert!(!composer.has_images());
    composer.give_back(&said);
    assert_eq!(composer.send(), said);
    composer.give_back(&said);
    composer.backspace();
    assert!(!composer.has_images());
}
