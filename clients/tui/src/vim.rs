//! Writing as in vi, for who wants it: counts, operators and motions on the text that is being written. Knows the text,
//! nothing of what is done with it.

use std::ops::Range;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::composer::Composer;
use crate::draft::Motion;

/// The largest count.
const MOST: usize = 999;

/// Where one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Vim {
    /// Letters are text.
    #[default]
    Insert,
    /// Letters are commands.
    Normal(Pending),
}

/// What was typed of a command so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    count: Option<usize>,
    operator: Option<Operator>,
    /// The count that stood before the operator.
    times: usize,
    /// The letter that another one must follow.
    first: Option<char>,
}

/// What is done with the text that a motion passes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Delete,
    Change,
    Yank,
}

/// What a key meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was a command, or a part of one.
    Taken,
    /// It is what it is without vi.
    Left,
}

/// Where a motion leads.
struct Target {
    place: usize,
    /// Whether the letter there is passed over as well.
    is_inclusive: bool,
    /// Whether whole lines are passed over.
    is_linewise: bool,
}

impl Vim {
    /// Whether letters are commands.
    pub(crate) fn is_normal(&self) -> bool {
        matches!(self, Self::Normal(_))
    }

    /// A key for the text.
    pub(crate) fn key(&mut self, key: KeyEvent, text: &mut Composer) -> Taken {
        let Self::Normal(pending) = self else {
            if key.code == KeyCode::Esc && key.modifiers.is_empty() {
                *self = Self::Normal(Pending::default());
                text.go_to(text.target(Motion::Left).max(text.line().start));
                return Taken::Taken;
            }
            return Taken::Left;
        };
        if key.code == KeyCode::Esc && *pending != Pending::default() {
            *pending = Pending::default();
            return Taken::Taken;
        }
        let KeyCode::Char(letter) = key.code else { return Taken::Left };
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            if letter != 'r' {
                return Taken::Left;
            }
            text.redo();
        } else if key.modifiers.contains(KeyModifiers::ALT) {
            return Taken::Left;
        } else if self.command(letter, text) == Next::Insert {
            *self = Self::Insert;
            return Taken::Taken;
        }
        stay_on_a_letter(text);
        Taken::Taken
    }

    fn command(&mut self, letter: char, text: &mut Composer) -> Next {
        let Self::Normal(pending) = self else { return Next::Insert };
        let mut now = std::mem::take(pending);
        if let Some(digit) = letter.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
            && now.first.is_none()
            && (digit > 0 || now.count.is_some())
        {
            now.count = Some((now.count.unwrap_or(0) * 10 + digit).min(MOST));
            *pending = now;
            return Next::Normal;
        }
        if now.first.is_none() && "gfFtTr".contains(letter) {
            now.first = Some(letter);
            *pending = now;
            return Next::Normal;
        }
        let count = now.count.unwrap_or(1).saturating_mul(now.times.max(1)).min(MOST);
        if let Some(operator) = now.operator {
            return operate(operator, &now, letter, count, text);
        }
        if now.first == Some('r') {
            let end = (0..count).fold(text.place(), |at, _| text.target_from(Motion::Right, at));
            if end <= text.line().end {
                let letters: String = std::iter::repeat_n(letter, count).collect();
                text.replace(text.place()..end, &letters);
                text.go_to(text.target(Motion::Left));
            }
            return Next::Normal;
        }
        if let Some(target) = target(&now, letter, count, text) {
            text.go_to(target.place);
            return Next::Normal;
        }
        if now.first.is_some() {
            return Next::Normal;
        }
        let operator = match letter {
            'd' => Some(Operator::Delete),
            'c' => Some(Operator::Change),
            'y' => Some(Operator::Yank),
            _ => None,
        };
        if operator.is_some() {
            *pending = Pending { operator, times: count, ..Pending::default() };
            return Next::Normal;
        }
        plain(letter, count, text)
    }
}

/// Where one is after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Normal,
    Insert,
}

/// A command that needs nothing more.
fn plain(letter: char, count: usize, text: &mut Composer) -> Next {
    let line = text.line();
    let place = text.place();
    match letter {
        'i' => return Next::Insert,
        'a' => {
            text.go_to(text.target(Motion::Right).min(line.end));
            return Next::Insert;
        }
        'I' => {
            text.go_to(text.target(Motion::FirstLetter));
            return Next::Insert;
        }
        'A' => {
            text.go_to(line.end);
            return Next::Insert;
        }
        'o' => {
            text.go_to(line.end);
            text.insert("\n");
            return Next::Insert;
        }
        'O' => {
            text.go_to(line.start);
            text.insert("\n");
            text.go_to(line.start);
            return Next::Insert;
        }
        'x' | 's' => {
            let end = (0..count).fold(place, |at, _| text.target_from(Motion::Right, at)).min(line.end);
            text.cut(place..end);
        }
        'X' => {
            let start = (0..count).fold(place, |at, _| text.target_from(Motion::Left, at)).max(line.start);
            text.cut(start..place);
        }
        'D' | 'C' => text.cut(place..line.end),
        'S' => text.cut(line),
        'Y' => text.set_removed(whole(&line, text)),
        'p' | 'P' => put(letter == 'p', count, text),
        'u' => (0..count).for_each(|_| text.undo()),
        'k' => (0..count).for_each(|_| text.up()),
        'j' => (0..count).for_each(|_| text.down()),
        _ => {}
    }
    if matches!(letter, 's' | 'C' | 'S') { Next::Insert } else { Next::Normal }
}

/// Puts what was cut last behind the cursor or before it; whole lines behind the line or before it.
fn put(is_behind: bool, count: usize, text: &mut Composer) {
    let removed = text.removed().repeat(count);
    let line = text.line();
    if let Some(lines) = removed.strip_suffix('\n') {
        if is_behind {
            text.go_to(line.end);
            text.insert(&format!("\n{lines}"));
            text.go_to(line.end + 1);
        } else {
            text.go_to(line.start);
            text.insert(&removed);
            text.go_to(line.start);
        }
    } else if !removed.is_empty() {
        if is_behind {
            text.go_to(text.target(Motion::Right).min(line.end));
        }
        text.insert(&removed);
        text.go_to(text.target(Motion::Left));
    }
}

/// An operator with what follows it.
fn operate(operator: Operator, pending: &Pending, letter: char, count: usize, text: &mut Composer) -> Next {
    let place = text.place();
    let is_same = pending.first.is_none()
        && letter
            == match operator {
                Operator::Delete => 'd',
                Operator::Change => 'c',
                Operator::Yank => 'y',
            };
    let is_vertical = pending.first.is_none() && matches!(letter, 'j' | 'k');
    let range = if is_same || is_vertical {
        let steps = if is_same { count - 1 } else { count };
        let other = (0..steps).fold(place, |at, _| text.vertical(at, letter != 'k').unwrap_or(at));
        let (first, last) = (text.line_of(place.min(other)), text.line_of(place.max(other)));
        Some((first.start..last.end, true))
    } else {
        // Changing a word leaves the blank behind it.
        let letter = if operator == Operator::Change && letter == 'w' { 'e' } else { letter };
        target(pending, letter, count, text).map(|target| {
            let (from, to) = (target.place.min(place), target.place.max(place));
            if target.is_linewise {
                return (text.line_of(from).start..text.line_of(to).end, true);
            }
            let to = if target.is_inclusive { text.target_from(Motion::Right, to) } else { to };
            // A word at the end of a line does not take the next line's beginning with it.
            let end = text.line_of(place).end;
            let to = if letter == 'w' && place < end { to.min(end.max(place)) } else { to };
            (from..to, false)
        })
    };
    let Some((range, is_linewise)) = range else { return Next::Normal };
    match (operator, is_linewise) {
        (Operator::Yank, false) => text.set_removed(text.part(range.clone())),
        (Operator::Yank, true) => text.set_removed(whole(&range, text)),
        (Operator::Delete, false) | (Operator::Change, _) => text.cut(range.clone()),
        (Operator::Delete, true) => {
            let lines = whole(&range, text);
            // The last line goes with the break before it.
            let start = if range.end == text.end() { range.start.saturating_sub(1) } else { range.start };
            let end = (range.end + 1).min(text.end());
            text.cut(start..end);
            text.set_removed(lines);
            text.go_to(text.line().start);
            return Next::Normal;
        }
    }
    match operator {
        Operator::Change => Next::Insert,
        Operator::Delete => Next::Normal,
        Operator::Yank => {
            text.go_to(if is_linewise { place } else { range.start });
            Next::Normal
        }
    }
}

/// Whole lines, as they are put somewhere else: with a break at the end.
fn whole(range: &Range<usize>, text: &Composer) -> String {
    format!("{}\n", text.part(range.clone()))
}

fn target(pending: &Pending, letter: char, count: usize, text: &Composer) -> Option<Target> {
    let place = text.place();
    let to = |place| Target { place, is_inclusive: false, is_linewise: false };
    if let Some(first) = pending.first {
        return match (first, letter) {
            ('g', 'g') => Some(Target { is_linewise: true, ..to(0) }),
            ('f' | 't' | 'F' | 'T', _) => find(first, letter, count, text),
            _ => None,
        };
    }
    let times = |motion| (0..count).fold(place, |at, _| text.target_from(motion, at));
    let line = text.line();
    Some(match letter {
        'h' => to(times(Motion::Left).max(line.start)),
        'l' | ' ' => to(times(Motion::Right).min(line.end)),
        'w' => to(times(Motion::NextWord)),
        'b' => to(times(Motion::WordLeft)),
        'e' => Target { is_inclusive: true, ..to(times(Motion::WordEnd)) },
        '0' => to(line.start),
        '^' => to(text.target(Motion::FirstLetter)),
        '$' => to(line.end),
        'G' => Target { is_linewise: true, ..to(text.end()) },
        _ => return None,
    })
}

/// A letter in the line.
fn find(how: char, letter: char, count: usize, text: &Composer) -> Option<Target> {
    let (place, line) = (text.place(), text.line());
    let is_forward = matches!(how, 'f' | 't');
    let found = if is_forward {
        let from = text.target_from(Motion::Right, place);
        let rest = text.part_as_it_is(from.min(line.end)..line.end);
        rest.match_indices(letter).nth(count - 1).map(|(at, _)| from + at)
    } else {
        let before = text.part_as_it_is(line.start..place);
        before.rmatch_indices(letter).nth(count - 1).map(|(at, _)| line.start + at)
    }?;
    let place = match how {
        't' => text.target_from(Motion::Left, found),
        'T' => text.target_from(Motion::Right, found),
        _ => found,
    };
    Some(Target { place, is_inclusive: is_forward, is_linewise: false })
}

/// A command is done on a letter, not behind the last one.
fn stay_on_a_letter(text: &mut Composer) {
    let line = text.line();
    if text.place() >= line.end && !line.is_empty() {
        text.go_to(text.target_from(Motion::Left, line.end));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    /// What becomes of a text, with `|` before the letter that the cursor is on.
    fn typed(text: &str, keys: &str) -> String {
        let mut composer = Composer::default();
        composer.insert(text);
        let mut vim = Vim::default();
        vim.key(KeyEvent::from(KeyCode::Esc), &mut composer);
        for letter in keys.chars() {
            let key = match letter {
                '␛' => KeyEvent::from(KeyCode::Esc),
                '®' => KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL),
                letter => KeyEvent::from(KeyCode::Char(letter)),
            };
            if vim.key(key, &mut composer) == Taken::Left {
                composer.insert(&letter.to_string());
            }
        }
        let mut text = composer.text();
        text.insert(composer.place(), '|');
        text
    }

    #[test]
    fn motions_go_where_they_do_in_vi() {
        for (keys, wanted) in [
            ("0", "|one two  three"),
            ("b", "one two  |three"),
            ("0w", "one |two  three"),
            ("02w", "one two  |three"),
            ("0e", "on|e two  three"),
            ("0ft", "one |two  three"),
            ("02ft", "one two  |three"),
            ("0tw", "one |two  three"),
            ("Fo", "one tw|o  three"),
            ("To", "one two|  three"),
            ("3h", "one two  t|hree"),
            ("0$", "one two  thre|e"),
        ] {
            assert_eq!(typed("one two  three", keys), wanted, "{keys}");
        }
    }

    #[test]
    fn operators_take_motions_and_counts() {
        for (keys, wanted) in [
            ("0dw", "|two three"),
            ("02dw", "|three"),
            ("0d2w", "|three"),
            ("0cwnew␛", "ne|w two three"),
            ("0d$", "|"),
            ("bD", "one two| "),
            ("0x", "|ne two three"),
            ("03x", "| two three"),
            ("0rX", "|Xne two three"),
            ("0de", "| two three"),
            ("0dtw", "|wo three"),
            ("0dft", "|wo three"),
            ("db", "one two |e"),
            ("0dwu", "|one two three"),
            ("0dwu®", "|two three"),
            ("0dwP", "one| two three"),
            ("0xp", "n|oe two three"),
            ("0ywP", "one| one two three"),
            ("0Anew␛", "one two threene|w"),
            ("ccx␛", "|x"),
        ] {
            assert_eq!(typed("one two three", keys), wanted, "{keys}");
        }
    }

    #[test]
    fn lines_are_cut_and_put() {
        for (keys, wanted) in [
            ("dd", "a\n|b"),
            ("ggdd", "|b\nc"),
            ("ggdj", "|c"),
            ("ggddp", "b\n|a\nc"),
            ("ggyyp", "a\n|a\nb\nc"),
            ("ggddP", "|a\nb\nc"),
            ("2kdG", "|"),
            ("ggonew␛", "a\nne|w\nb\nc"),
            ("Onew␛", "a\nb\nne|w\nc"),
            ("kkxj", "\n|b\nc"),
        ] {
            assert_eq!(typed("a\nb\nc", keys), wanted, "{keys}");
        }
    }

    #[test]
    fn what_is_begun_is_given_up_by_escape() {
        assert_eq!(typed("one two", "0d␛w"), "one |two");
        assert_eq!(typed("one two", "02␛x"), "|ne two");
        assert_eq!(typed("", "xdwp"), "|");
    }

    proptest! {
        #[test]
        fn no_keys_make_it_panic(text in "[a-z \\n\u{e9}\u{1f469}\u{200d}]{0,30}", keys in proptest::collection::vec(any::<char>(), 0..20), plain in "[0-9a-zA-Z$^␛]{0,40}") {
            let all: String = keys.into_iter().chain(plain.chars()).collect();
            let after = typed(&text, &all);
            prop_assert!(after.contains('|'));
        }
    }
}
