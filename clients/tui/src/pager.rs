//! The whole session, nothing folded, on all of the screen; or all that a command printed, or another text. Turns are
//! read page by page from the end, output part by part from the beginning, as far as a person scrolls. Knows nothing of
//! how a page is fetched.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::ids::BlobId;
use protocol::output::OutputReadResult;
use protocol::session::SessionSnapshot;
use ratatui::layout::Size;
use ratatui::text::{Line, Span};
use view::{Block, BlockBody, View, escape, words};

use crate::blocks::{Detail, Pen};
use crate::highlight::Syntaxes;
use crate::theme::Theme;
use crate::wrap::{Break, fit, wrap};

/// Bytes of an output that are shown; who wants more has the file.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What is shown of a session.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    /// The pages that are there, the oldest first.
    pages: Vec<Page>,
    lines: Vec<Line<'static>>,
    /// For which width the lines are made; 0: not yet.
    width: u16,
    /// The line at the top; absent: the last lines are shown.
    top: Option<usize>,
    /// Rows that are shown of the lines.
    rows: usize,
    is_loading: bool,
    /// What is shown instead of the session.
    output: Option<Output>,
    /// What is looked for, and whether it is still being written.
    search: String,
    is_searching: bool,
}

/// What a command printed, as far as it is there.
#[derive(Debug)]
struct Output {
    /// Absent if all of it is there.
    blob: Option<BlobId>,
    /// What it is.
    title: String,
    text: String,
    /// Where what follows begins.
    next: Option<u64>,
    total_bytes: u64,
}

#[derive(Debug)]
struct Page {
    blocks: Vec<Block>,
    turns: u32,
    earlier: u32,
    cwd: std::path::PathBuf,
}

/// What a key means to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    Nothing,
    Close,
    /// The page before is wanted: so many turns from the end left out.
    Older(u32),
    /// The part of an output from there on is wanted.
    More(BlobId, u64),
}

impl Pager {
    /// Waits for the first page.
    pub(crate) fn new() -> Self {
        Self { is_loading: true, ..Self::default() }
    }

    /// Waits for the beginning of what a command printed.
    pub(crate) fn of_output(blob: BlobId, title: String) -> Self {
        let output = Output { blob: Some(blob), title, text: String::new(), next: None, total_bytes: 0 };
        Self { is_loading: true, output: Some(output), top: Some(0), ..Self::default() }
    }

    /// Shows a text that is not the session's.
    pub(crate) fn of_text(title: String, text: String) -> Self {
        let total_bytes = text.len() as u64;
        let output = Output { blob: None, title, text, next: None, total_bytes };
        Self { output: Some(output), top: Some(0), ..Self::default() }
    }

    /// A part of an output came.
    pub(crate) fn add_output(&mut self, blob: &BlobId, read: &OutputReadResult) {
        let last_top = self.last_top();
        let Some(output) = self.output.as_mut().filter(|output| output.blob.as_ref() == Some(blob)) else {
            return;
        };
        output.text.push_str(&read.text);
        output.total_bytes = read.total_bytes;
        output.next = read.next_offset_bytes.filter(|_| output.text.len() < MOST_BYTES);
        self.is_loading = false;
        // What is on the screen stays there.
        self.top = Some(self.top.unwrap_or(last_top));
        self.width = 0;
    }

    /// A page came.
    pub(crate) fn add(&mut self, snapshot: SessionSnapshot) {
        self.is_loading = false;
        let (turns, earlier) = (count(snapshot.turns.len()), snapshot.earlier_turns);
        let cwd = snapshot.summary.settings.cwd.clone();
        let mut view = View::new();
        view.snapshot(snapshot);
        let mut blocks: Vec<Block> = Vec::new();
        for block in view.take_finished().into_iter().chain(view.live().cloned()) {
            // Nothing comes in pieces here.
            let rest = match blocks.last_mut() {
                Some(last) => last.absorb(block),
                None => Some(block),
            };
            blocks.extend(rest);
        }
        blocks.retain(|block| !matches!(block.body, BlockBody::Earlier { .. }));
        let is_first = self.pages.is_empty();
        let before = self.lines.len();
        self.pages.insert(0, Page { blocks, turns, earlier, cwd });
        self.width = 0;
        if !is_first {
            // What is on the screen stays there; how many lines came above it is known when they are made.
            self.top = Some(self.top.unwrap_or(before.saturating_sub(self.rows)));
        }
    }

    /// A page could not be had.
    pub(crate) fn fail(&mut self) {
        self.is_loading = false;
    }

    fn older(&mut self) -> Turned {
        let is_more = self.pages.first().is_some_and(|page| page.earlier > 0 && page.turns > 0);
        if self.is_loading || !is_more {
            return Turned::Nothing;
        }
        self.is_loading = true;
        Turned::Older(self.pages.iter().map(|page| page.turns).fold(0, u32::saturating_add))
    }

    pub(crate) fn key(&mut self, key: KeyEvent) -> Turned {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.is_searching {
            match key.code {
                KeyCode::Enter => {
                    self.is_searching = false;
                    self.find();
                }
                KeyCode::Esc => self.is_searching = false,
                KeyCode::Backspace => {
                    self.search.pop();
                }
                KeyCode::Char(letter) if !has_control => self.search.push(letter),
                _ => {}
            }
            return Turned::Nothing;
        }
        let page = isize::try_from(self.rows.saturating_sub(2).max(1)).unwrap_or(1);
        match key.code {
            KeyCode::Char('c' | 't') if has_control => return Turned::Close,
            KeyCode::Char('q') | KeyCode::Esc => return Turned::Close,
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::PageUp | KeyCode::Char('b') => self.scroll(-page),
            KeyCode::PageDown | KeyCode::Char(' ' | 'f') => self.scroll(page),
            KeyCode::Home | KeyCode::Char('g') => self.top = Some(0),
            KeyCode::End | KeyCode::Char('G') => self.top = None,
            KeyCode::Char('/') => {
                self.is_searching = true;
                self.search.clear();
            }
            KeyCode::Char('n') => self.find(),
            _ => {}
        }
        if self.output.is_some() {
            self.more()
        } else if self.top == Some(0) {
            self.older()
        } else {
            Turned::Nothing
        }
    }

    /// What follows of an output is wanted once its end is on the screen.
    fn more(&mut self) -> Turned {
        let is_at_end = self.top.is_none_or(|top| top >= self.last_top());
        let Some(output) = self.output.as_ref().filter(|_| is_at_end && !self.is_loading) else {
            return Turned::Nothing;
        };
        let (Some(next), Some(blob)) = (output.next, output.blob.clone()) else { return Turned::Nothing };
        let turned = Turned::More(blob, next);
        self.is_loading = true;
        turned
    }

    fn last_top(&self) -> usize {
        self.lines.len().saturating_sub(self.rows)
    }

    fn scroll(&mut self, lines: isize) {
        let top = self.top.unwrap_or(self.last_top()).saturating_add_signed(lines);
        self.top = (top < self.last_top()).then_some(top);
    }

    /// Goes up to the next line that holds what is looked for, from the top of the screen on, and then from the end.
    fn find(&mut self) {
        let wanted = self.search.to_lowercase();
        if wanted.is_empty() {
            return;
        }
        let top = self.top.unwrap_or(self.last_top());
        let fits = |line: &Line<'_>| line.to_string().to_lowercase().contains(&wanted);
        let above = self.lines[..top.min(self.lines.len())].iter().rposition(fits);
        if let Some(at) = above.or_else(|| self.lines.iter().rposition(fits)) {
            self.top = Some(at.min(self.last_top()));
        }
    }

    /// The screen.
    pub(crate) fn screen(&mut self, size: Size, theme: &Theme, syntaxes: &Syntaxes) -> Vec<Line<'static>> {
        self.rows = usize::from(size.height).saturating_sub(1);
        if self.width != size.width.max(1) {
            let before = self.lines.len();
            let is_prepended = self.width == 0 && before > 0 && self.output.is_none();
            self.width = size.width.max(1);
            self.lines.clear();
            for page in &self.pages {
                let (width, detail) = (self.width, Detail::Full);
                let pen = Pen { theme, width, detail, syntaxes, cwd: &page.cwd };
                self.lines.extend(page.blocks.iter().flat_map(|block| pen.block(block)));
            }
            for line in self.output.iter().flat_map(|output| output.text.lines()) {
                let line = line.rsplit('\r').next().unwrap_or_default();
                let spans = [Span::styled(escape::prose(line).into_owned(), theme.text)];
                self.lines.extend(wrap(&spans, self.width, &[], &[], Break::Letters));
            }
            if is_prepended {
                self.top = self.top.map(|top| top + self.lines.len().saturating_sub(before));
            }
        }
        let top = self.top.unwrap_or(self.last_top()).min(self.last_top());
        let mut rows: Vec<Line<'static>> = self.lines.iter().skip(top).take(self.rows).cloned().collect();
        rows.resize_with(self.rows, Line::default);
        rows.push(self.status(top, usize::from(size.width), theme));
        rows
    }

    /// Other definitions of code are there: the lines are made anew.
    pub(crate) fn redraw(&mut self) {
        if self.width != 0 {
            self.width = 0;
            // The same lines, so nothing comes above them.
            self.top = self.top.map(|top| top.min(self.lines.len()));
            self.lines.clear();
        }
    }

    fn status(&self, top: usize, width: usize, theme: &Theme) -> Line<'static> {
        let earlier = self.pages.first().map_or(0, |page| page.earlier);
        let text = if self.is_searching {
            format!("/{}", view::escape::line(&self.search))
        } else if self.is_loading {
            "reading".to_owned()
        } else {
            let last = (top + self.rows).min(self.lines.len());
            let before =
                if earlier > 0 { format!(" · {earlier} earlier turns above") } else { String::new() };
            let what = self.output.as_ref().map(Output::headline).unwrap_or_default();
            format!("{what}lines {} to {last} of {}{before} · / finds · q leaves", top + 1, self.lines.len())
        };
        Line::from(Span::styled(fit(&format!("  {text}"), width), theme.dim))
    }

    /// Whether the code of a page waits for its colours.
    pub(crate) fn has_code(&self) -> bool {
        self.pages.iter().flat_map(|page| &page.blocks).any(crate::blocks::has_code)
    }
}

impl Output {
    fn headline(&self) -> String {
        let title = escape::short_line(&self.title, 40);
        let total = words::thousands(self.total_bytes);
        match self.next {
            Some(_) => format!("{title} · more below · {total} bytes · "),
            None if (self.text.len() as u64) < self.total_bytes => {
                format!("{title} · the beginning of {total} bytes · ")
            }
            None => format!("{title} · {total} bytes · "),
        }
    }
}

fn count(turns: usize) -> u32 {
    u32::try_from(turns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    fn page(text: &str, earlier: u32) -> SessionSnapshot {
        let mut snapshot = session(text);
        snapshot.earlier_turns = earlier;
        snapshot
    }

    fn shown(pager: &mut Pager) -> Vec<String> {
        let lines = pager.screen(Size::new(60, 5), &Theme::plain(), &Syntaxes::Off);
        lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    fn press(pager: &mut Pager, letter: char) -> Turned {
        pager.key(KeyEvent::from(KeyCode::Char(letter)))
    }

    #[test]
    fn the_end_is_shown_first_and_earlier_pages_come_above_what_is_shown() {
        let mut pager = Pager::new();
        assert!(shown(&mut pager).last().unwrap().contains("reading"));
        pager.add(page("1\n\n2\n\n3\n\n4", 7));
        assert!(shown(&mut pager).iter().any(|line| line == "  4"));
        assert_eq!(press(&mut pager, 'g'), Turned::Older(1));
        assert_eq!(press(&mut pager, 'g'), Turned::Nothing, "it is under way");
        let before = shown(&mut pager)[..4].to_vec();
        pager.add(page("older\n\ntext", 0));
        assert_eq!(shown(&mut pager)[..4], before[..]);
        press(&mut pager, 'g');
        assert_eq!(shown(&mut pager)[1], "› make it work");
        assert_eq!(press(&mut pager, 'g'), Turned::Nothing, "there is nothing before");
    }

    #[test]
    fn an_output_is_read_on_where_its_end_is_seen() {
        let blob = BlobId("sha256:1".to_owned());
        let mut pager = Pager::of_output(blob.clone(), "$ make all".to_owned());
        shown(&mut pager);
        let part = |text: &str, next| OutputReadResult {
            text: text.to_owned(),
            next_offset_bytes: next,
            total_bytes: 32,
        };
        let other = BlobId("sha256:2".to_owned());
        pager.add_output(&other, &part("not this", None));
        pager.add_output(&blob, &part("1\n2\n3\n4\n5\n\u{1b}[2J6\n", Some(16)));
        assert_eq!(shown(&mut pager)[..2], ["1", "2"]);
        assert!(shown(&mut pager)[4].contains("$ make all · more below · 32 bytes · lines 1 to 4 of 6"));
        assert_eq!(press(&mut pager, 'j'), Turned::Nothing);
        assert_eq!(press(&mut pager, 'G'), Turned::More(blob.clone(), 16));
        assert_eq!(press(&mut pager, 'G'), Turned::Nothing, "it is under way");
        pager.add_output(&blob, &part("7\n8\n", None));
        assert_eq!(shown(&mut pager)[..4], ["3", "4", "5", "\\e[2J6"], "what is seen stays");
        press(&mut pager, 'G');
        assert_eq!(shown(&mut pager)[3], "8");
        assert_eq!(press(&mut pager, 'G'), Turned::Nothing, "there is no more");
    }

    #[test]
    fn text_is_found_from_the_end_on() {
        let mut pager = Pager::new();
        pager.add(page("needle one\n\n2\n\n3\n\n4\n\nNeedle two\n\n6\n\n7\n\n8", 0));
        shown(&mut pager);
        for letter in "/needle".chars() {
            press(&mut pager, letter);
        }
        pager.key(KeyEvent::from(KeyCode::Enter));
        assert_eq!(shown(&mut pager)[0], "  Needle two");
        press(&mut pager, 'n');
        assert_eq!(shown(&mut pager)[0], "• needle one");
        assert_eq!(press(&mut pager, 'q'), Turned::Close);
    }
}
