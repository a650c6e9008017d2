//! What a model says, as lines: headings, paragraphs, lists, code, quotes, tables, links. Unfinished markdown is
//! shown as far as it is. The colours of code are `highlight`'s business.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd, TextMergeStream};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use view::escape;

use crate::highlight::{Code, Syntaxes};
use crate::hyperlink::{addresses, linked};
use crate::table::Table;
use crate::theme::Theme;
use crate::wrap::{Break, width_of, wrap};

/// Renders markdown; the text is made harmless first.
pub(crate) fn lines(text: &str, width: u16, theme: &Theme, syntaxes: &Syntaxes) -> Vec<Line<'static>> {
    lines_after(Vec::new(), text, width, theme, syntaxes)
}

/// Renders markdown that goes on with the next word in a row that was rendered before.
pub(crate) fn lines_after(
    row: Vec<Span<'static>>,
    text: &str,
    width: u16,
    theme: &Theme,
    syntaxes: &Syntaxes,
) -> Vec<Line<'static>> {
    let text = escape::prose(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer { row, ..Writer::new(width, theme, syntaxes) };
    for event in TextMergeStream::new(Parser::new_ext(&text, options)) {
        if !writer.row.is_empty() {
            let is_paragraph = matches!(event, Event::Start(Tag::Paragraph));
            writer.take_up_row(if is_paragraph { Follows::Word } else { Follows::Block });
            if is_paragraph {
                continue;
            }
        }
        writer.event(event);
    }
    if !writer.row.is_empty() {
        writer.take_up_row(Follows::Block);
    }
    writer.lines
}

/// What comes after a row that was rendered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Word,
    Block,
}

/// A list that is open.
struct List {
    /// The next number, if it has numbers.
    number: Option<u64>,
}

struct Writer<'a> {
    width: u16,
    theme: &'a Theme,
    syntaxes: &'a Syntaxes,
    lines: Vec<Line<'static>>,
    /// The row before, in which the text goes on.
    row: Vec<Span<'static>>,
    /// The line of text that is being put together.
    spans: Vec<Span<'static>>,
    styles: Vec<Style>,
    /// What stands before every line here: indents and the bars of quotes.
    indents: Vec<Span<'static>>,
    /// What stands before the next line instead of the last indent.
    marker: Option<Span<'static>>,
    lists: Vec<List>,
    links: Vec<(String, usize)>,
    table: Option<Table>,
    is_code: bool,
    /// The code block that is open, if its language is known.
    code: Option<Code>,
    /// Whether a blank line stands before the next block.
    is_apart: bool,
}

impl<'a> Writer<'a> {
    fn new(width: u16, theme: &'a Theme, syntaxes: &'a Syntaxes) -> Self {
        Self {
            width,
            theme,
            syntaxes,
            lines: Vec::new(),
            row: Vec::new(),
            spans: Vec::new(),
            styles: vec![theme.text],
            indents: Vec::new(),
            marker: None,
            lists: Vec::new(),
            links: Vec::new(),
            table: None,
            is_code: false,
            code: None,
            is_apart: false,
        }
    }

    fn take_up_row(&mut self, follows: Follows) {
        self.spans = std::mem::take(&mut self.row);
        match follows {
            Follows::Word => self.spans.push(Span::styled(" ", self.theme.text)),
            Follows::Block => self.flush(Break::Words),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.is_code => self.code(&text),
            Event::Text(text) | Event::InlineHtml(text) | Event::FootnoteReference(text) => self.text(&text),
            Event::Html(text) => {
                for line in text.lines() {
                    self.text(line);
                    self.flush(Break::Words);
                }
            }
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                let style = self.style().patch(self.theme.code);
                self.push(Span::styled(text.into_string(), style));
            }
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.flush(Break::Words),
            Event::Rule => {
                self.begin();
                self.spans.push(Span::styled("───", self.theme.dim));
                self.flush(Break::Words);
                self.is_apart = true;
            }
            Event::TaskListMarker(is_done) => self.text(if is_done { "[x] " } else { "[ ] " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock | Tag::MetadataBlock(_) => self.begin(),
            Tag::Heading { level, .. } => {
                self.begin();
                let style = match level {
                    HeadingLevel::H1 => self.theme.strong.add_modifier(Modifier::UNDERLINED),
                    HeadingLevel::H2 => self.theme.strong,
                    HeadingLevel::H3 | HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => {
                        self.theme.strong.add_modifier(Modifier::ITALIC)
                    }
                };
                self.styles.push(style);
            }
            Tag::BlockQuote(_) => {
                self.begin();
                self.indents.push(Span::styled("│ ", self.theme.dim));
            }
            Tag::CodeBlock(kind) => {
                self.begin();
                self.is_code = true;
                self.code = match &kind {
                    CodeBlockKind::Fenced(language) => self.syntaxes.begin(language),
                    CodeBlockKind::Indented => None,
                };
                self.indents.push(Span::raw("  "));
            }
            Tag::List(number) => {
                if self.lists.is_empty() {
                    self.begin();
                } else {
                    self.flush(Break::Words);
                }
                self.is_apart = false;
                self.lists.push(List { number });
            }
            Tag::Item => {
                self.flush(Break::Words);
                let marker = match self.lists.last_mut() {
                    Some(List { number: Some(number) }) => {
                        *number += 1;
                        format!("{}. ", number.saturating_sub(1))
                    }
                    Some(List { number: None }) | None => "- ".to_owned(),
                };
                self.indents.push(Span::raw(" ".repeat(marker.len())));
                self.marker = Some(Span::styled(marker, self.theme.accent));
            }
            Tag::Table(alignments) => {
                self.begin();
                self.table = Some(Table::new(alignments));
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.begin_row();
                }
            }
            Tag::Emphasis => self.styled(Modifier::ITALIC),
            Tag::Strong => self.styled(Modifier::BOLD),
            Tag::Strikethrough => self.styled(Modifier::CROSSED_OUT),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push((dest_url.into_string(), self.spans.len()));
            }
            Tag::TableCell
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => {
                self.flush(Break::Words);
                self.is_apart = true;
            }
            TagEnd::Heading(_) => {
                self.flush(Break::Words);
                self.styles.pop();
                self.is_apart = true;
            }
            TagEnd::BlockQuote(_) => {
                self.indents.pop();
                self.is_apart = true;
            }
            TagEnd::CodeBlock => {
                self.code = None;
                self.indents.pop();
                self.is_code = false;
                self.is_apart = true;
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.is_apart = self.lists.is_empty();
            }
            TagEnd::Item => {
                self.flush(Break::Words);
                if self.marker.take().is_some() {
                    self.lines.push(Line::raw("-"));
                }
                self.indents.pop();
                self.is_apart = false;
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.spans);
                if let Some(table) = &mut self.table {
                    table.push(cell);
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.table(table);
                }
                self.is_apart = true;
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.styles.pop();
            }
            TagEnd::Link | TagEnd::Image => {
                let Some((url, from)) = self.links.pop() else { return };
                let shown: String = self.spans.iter().skip(from).map(|span| &*span.content).collect();
                if shown == url {
                    self.spans.truncate(from);
                    self.link(&url);
                } else if url.strip_prefix("mailto:") != Some(&shown) {
                    let dim = self.theme.dim;
                    self.push(Span::styled(" (", dim));
                    self.link(&url);
                    self.push(Span::styled(")", dim));
                }
            }
            TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Superscript
            | TagEnd::Subscript => {}
        }
    }

    /// A block begins.
    fn begin(&mut self) {
        self.flush(Break::Words);
        if self.is_apart {
            self.lines.push(Line::from(self.indents.clone()));
        }
        self.is_apart = false;
    }

    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or_default()
    }

    fn styled(&mut self, modifier: Modifier) {
        self.styles.push(self.style().add_modifier(modifier));
    }

    /// Text, with the addresses in it as links. What it was put together from may have named letters by number.
    fn text(&mut self, text: &str) {
        let text = escape::prose(text);
        let style = self.style();
        let mut done = 0;
        if self.links.is_empty() {
            for at in addresses(&text) {
                self.push(Span::styled(text[done..at.start].to_owned(), style));
                self.link(&text[at.clone()]);
                done = at.end;
            }
        }
        self.push(Span::styled(text[done..].to_owned(), style));
    }

    fn push(&mut self, span: Span<'static>) {
        self.spans.push(span);
    }

    fn code(&mut self, text: &str) {
        for line in text.lines() {
            match &mut self.code {
                Some(code) => self.spans.extend(code.line(line, self.theme)),
                None => self.spans.push(Span::styled(line.to_owned(), self.theme.code)),
            }
            self.flush_always(Break::Letters);
        }
    }

    /// An address, which the terminal may open.
    fn link(&mut self, address: &str) {
        let address = escape::line(address);
        self.push(Span::styled(address.clone().into_owned(), linked(self.theme.link, &address)));
    }

    fn table(&mut self, table: Table) {
        let taken: usize = self.indents.iter().map(|indent| width_of(&indent.content)).sum();
        let room = u16::try_from(usize::from(self.width).saturating_sub(taken)).unwrap_or(u16::MAX);
        for line in table.lines(room, self.theme) {
            self.spans = line.spans;
            for span in &mut self.spans {
                span.style = line.style.patch(span.style);
            }
            self.flush_always(Break::Letters);
        }
    }

    fn flush(&mut self, at: Break) {
        if !self.spans.is_empty() {
            self.flush_always(at);
        }
    }

    fn flush_always(&mut self, at: Break) {
        let spans = std::mem::take(&mut self.spans);
        let mut first = self.indents.clone();
        if let Some(marker) = self.marker.take() {
            first.pop();
            first.push(marker);
        }
        self.lines.extend(wrap(&spans, self.width, &first, &self.indents, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: &[&str]) {
        let lines: Vec<String> = lines(text, 40, &Theme::plain(), &Syntaxes::Off)
            .iter()
            .map(|line| line.to_string().trim_end().to_owned())
            .collect();
        assert_eq!(lines, wanted, "{text:?}");
    }

    #[test]
    fn paragraphs_are_apart_and_flow() {
        check("one\ntwo\n\nthree", &["one two", "", "three"]);
        check("# Head\ntext", &["Head", "", "text"]);
        check("one  \ntwo", &["one", "two"]);
    }

    #[test]
    fn lists_are_indented_and_numbered() {
        check("- a\n- b\n  - c\n\nend", &["- a", "- b", "  - c", "", "end"]);
        check("3. a\n4. b", &["3. a", "4. b"]);
        check("- [x] done\n- [ ] open", &["- [x] done", "- [ ] open"]);
        check("- a\n\n  more\n- b", &["- a", "", "  more", "- b"]);
    }

    #[test]
    fn code_is_kept_as_it_is() {
        check("```rust\nfn a() {\n\n    b  c\n}\n```", &["  fn a() {", "", "      b  c", "  }"]);
        check("call `a  b` now", &["call a  b now"]);
    }

    #[test]
    fn links_show_where_they_go() {
        check("[here](https://a.b/c)", &["here (https://a.b/c)"]);
        check("<https://a.b/c>", &["https://a.b/c"]);
        check("[https://good.example](https://evil)", &["https://good.example (https://evil)"]);
    }

    #[test]
    fn quotes_rules_and_tables() {
        check("> a\n> b", &["│ a b"]);
        check("a\n\n---\n\nb", &["a", "", "───", "", "b"]);
        check(
            "> | k | value |\n> |---|---:|\n> | aa | 1 |",
            &[
                "│ ┌────┬───────┐",
                "│ │ k  │ value │",
                "│ ├────┼───────┤",
                "│ │ aa │     1 │",
                "│ └────┴───────┘",
            ],
        );
    }

    #[test]
    fn what_is_unfinished_is_shown_as_far_as_it_is() {
        check("```py\nx = 1", &["  x = 1"]);
        check("a **bo", &["a **bo"]);
        check("[link](http", &["[link](http"]);
        check("| a | b", &["| a | b"]);
        check("`", &["`"]);
        check("", &[]);
    }

    #[test]
    fn every_prefix_of_a_text_can_be_shown() {
        let text =
            "# T\n\n- **a** `b`\n  1. c\n\n```sh\nx\n```\n> q\n\n| a | b |\n|--|--|\n| 1 | 2 |\n<b>é日</b>";
        for (at, _) in text.char_indices() {
            for width in [1, 7, 80] {
                lines(&text[..at], width, &Theme::plain(), &Syntaxes::Off);
            }
        }
    }

    #[test]
    fn emphasis_is_a_style() {
        let lines = lines("a **b**", 40, &Theme::plain(), &Syntaxes::Off);
        assert!(lines[0].spans[1].style.add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn what_acts_on_a_terminal_is_shown() {
        check("a\u{1b}[2J", &["a\\e[2J"]);
        check("a&#27;[2J &#x202e;b", &["a\\e[2J \\u{202e}b"]);
        check("[x](https://a.b/&#x202e;c)", &["x (https://a.b/\\u{202e}c)"]);
    }

    #[test]
    fn an_address_in_a_text_is_a_link_and_its_own_text_only() {
        let check = |text: &str, wanted: &[&str]| {
            let lines = lines(text, 80, &Theme::plain(), &Syntaxes::Off);
            let is_link = |span: &&Span<'_>| span.style.bg.is_some();
            let links: Vec<&str> = lines[0].spans.iter().filter(is_link).map(|span| &*span.content).collect();
            assert_eq!(links, wanted, "{text}");
        };
        check(
            "see https://a.b/c_d_e. [here](https://f.g) and [https://h.i](https://j.k)",
            &["https://a.b/c_d_e", "https://f.g", "https://j.k"],
        );
        check("<https://a.b/>, [https://c.d/](https://c.d/)", &["https://a.b/", "https://c.d/"]);
        check("[https://**a.b**/](https://a.b/) <a@b.c> [x](x)", &["https://a.b/"]);
    }
}
