//! Reads a shell's script with the grammar of bash and finds every command in it, wherever it stands. What the grammar
//! does not understand, or understands in a way that a shell may not, is a gap.

use std::ops::ControlFlow;
use std::time::Instant;

use tree_sitter::{Node, ParseOptions, Parser, Tree};

use crate::analysis::builder::Builder;
use crate::analysis::carriers::is_telling_variable;
use crate::analysis::result::{Feature, Gap, Place};
use crate::analysis::word::{self, Word};

/// A longer script is not looked into.
const LONGEST: usize = 64 * 1024;
/// One with more `|` and `&` neither: what the parser does about them where they make no sense grows with their square.
const MOST_JOINTS: usize = 600;
/// The parser is stopped after so many of its own rounds.
const MOST_ROUNDS: u32 = 5_000;

/// Reads a script whose commands stand at `place`.
pub(crate) fn read(builder: &mut Builder, script: &str, place: Place) {
    if script.len() > LONGEST || script.matches(['|', '&']).count() > MOST_JOINTS {
        return builder.gap(Gap::TooLarge);
    }
    read_text(builder, script, place);
    // A shell joins the lines of a word that a backslash cuts in two; the grammar sees two words. In a comment it does
    // not join them. So both readings count.
    if script.match_indices("\\\n").any(|(at, _)| !is_blank_before(script, at)) {
        read_text(builder, &script.replace("\\\n", ""), place);
    }
}

fn read_text(builder: &mut Builder, script: &str, place: Place) {
    // Blanks to one, letters to another.
    if script.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        builder.gap(Gap::Unparsed);
    }
    let start = Instant::now();
    let parsed = builder.deadline(start).ok_or(Gap::TooSlow).and_then(|deadline| parse(script, deadline));
    builder.parsed_for(start.elapsed());
    let tree = match parsed {
        Ok(tree) => tree,
        Err(gap) => return builder.gap(gap),
    };
    let root = tree.root_node();
    if root.has_error() {
        builder.gap(Gap::Unparsed);
    }
    Reader { script, builder }.visit(root, place);
}

fn is_blank_before(script: &str, at: usize) -> bool {
    script
        .get(..at)
        .unwrap_or_default()
        .chars()
        .next_back()
        .is_some_and(|before| matches!(before, ' ' | '\t'))
}

fn parse(script: &str, deadline: Instant) -> Result<Tree, Gap> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_bash::LANGUAGE.into()).map_err(|_| Gap::Unparsed)?;
    let mut rounds = 0_u32;
    let mut is_late = false;
    let mut stop = |_: &tree_sitter::ParseState| {
        rounds = rounds.saturating_add(1);
        is_late = Instant::now() > deadline;
        if is_late || rounds > MOST_ROUNDS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut stop);
    // The grammar's scanner asks the C library about every character as if it were a byte, and reads outside its table
    // for one that is none. To a shell a character beyond ASCII is a letter like another, so it gets letters.
    let letters: Vec<u8> = script.bytes().map(|byte| if byte.is_ascii() { byte } else { b'x' }).collect();
    let mut text = |at: usize, _| letters.get(at..).unwrap_or_default();
    let tree = parser.parse_with_options(&mut text, None, Some(options));
    tree.ok_or(if is_late { Gap::TooSlow } else { Gap::TooLarge })
}

struct Reader<'a, 'b> {
    script: &'a str,
    builder: &'b mut Builder,
}

impl<'a> Reader<'a, '_> {
    fn text(&self, node: Node<'_>) -> &'a str {
        self.script.get(node.byte_range()).unwrap_or_default()
    }

    fn word(&mut self, node: Node<'_>) -> Word {
        // The parts of a word touch each other; where the grammar put a blank between them, a shell sees two words.
        let whole = if node.kind() == "command_name" { node.child(0).unwrap_or(node) } else { node };
        let touches = |pair: &[Node<'_>]| matches!(pair, [a, b] if a.end_byte() == b.start_byte());
        if whole.kind() == "concatenation" && !children(whole).windows(2).all(touches) {
            self.builder.gap(Gap::Unparsed);
        }
        word::read(self.text(node))
    }

    /// Finds the commands at and below a node.
    fn visit(&mut self, node: Node<'_>, place: Place) {
        if self.builder.is_full() {
            return;
        }
        match node.kind() {
            "pipeline" => self.together(|reader| reader.children(node, place)),
            "command" => self.together(|reader| reader.command(node, Vec::new(), place)),
            "declaration_command" | "unset_command" => self.declaration(node, place),
            "redirected_statement" => self.redirected(node, place),
            "file_redirect" | "herestring_redirect" | "heredoc_redirect" => {
                let behind = self.redirect(node, place);
                self.bare_words(behind, place);
            }
            "variable_assignment" => self.assignment(node, place),
            "function_definition" => self.function(node),
            "comment" => self.comment(node),
            "command_substitution" | "process_substitution" => {
                self.builder.feature(Feature::Substitution);
                self.children(node, Place::Substitution);
            }
            "subshell" | "compound_statement" => {
                self.builder.feature(Feature::Group);
                self.children(node, inner(place, Place::Group));
            }
            "if_statement"
            | "while_statement"
            | "for_statement"
            | "c_style_for_statement"
            | "case_statement"
            | "test_command"
            | "negated_command" => {
                self.builder.feature(Feature::ControlFlow);
                self.children(node, inner(place, Place::ControlFlow));
            }
            "simple_expansion" | "expansion" | "arithmetic_expansion" | "brace_expression" => {
                self.builder.feature(Feature::Expansion);
                self.children(node, place);
            }
            "raw_string" | "ansi_c_string" | "heredoc_content" => {}
            _ if node.child_count() == 0 => self.leaf(node),
            _ => self.children(node, place),
        }
    }

    /// In patterns, and behind the operator of `${x:-a}`, the grammar takes for text what a shell runs.
    fn leaf(&mut self, node: Node<'_>) {
        let text = self.text(node);
        let found = substitutions(text);
        if !found.is_empty() || text.contains("$((") {
            self.builder.gap(Gap::UnknownScript);
            self.unseen(found);
        }
    }

    fn children(&mut self, node: Node<'_>, place: Place) {
        for child in children(node) {
            self.child(child, place);
        }
    }

    fn child(&mut self, child: Node<'_>, place: Place) {
        if child.kind() == "&" {
            self.builder.feature(Feature::Background);
        }
        if child.is_named() {
            self.deeper(child, place);
        }
    }

    fn together(&mut self, step: impl FnOnce(&mut Reader<'_, '_>)) {
        let script = self.script;
        self.builder.together(|builder| step(&mut Reader { script, builder }));
    }

    fn deeper(&mut self, node: Node<'_>, place: Place) {
        let script = self.script;
        self.builder.descend(|builder| Reader { script, builder }.visit(node, place));
    }

    /// A command, with the words that a redirection around it swallowed.
    fn command(&mut self, node: Node<'_>, swallowed: Vec<Word>, place: Place) {
        let mut argv = Vec::new();
        for (child, field) in fields(node) {
            match (child.kind(), field) {
                ("variable_assignment", _) => self.assignment(child, place),
                ("file_redirect" | "herestring_redirect" | "heredoc_redirect", _) => {
                    argv.extend(self.redirect(child, place));
                }
                (kind, Some("name" | "argument")) => {
                    // To the grammar an operator that goes on in the next line; to a shell a word, and the line ends.
                    if matches!(kind, "=~" | "==") {
                        self.builder.gap(Gap::Unparsed);
                    }
                    argv.push(self.word(child));
                    self.deeper(child, place);
                }
                (_, Some(_) | None) if child.is_named() => {
                    self.builder.gap(Gap::Unparsed);
                    self.deeper(child, place);
                }
                (_, Some(_) | None) => {}
            }
        }
        argv.extend(swallowed);
        self.bare_words(argv, place);
    }

    fn bare_words(&mut self, argv: Vec<Word>, place: Place) {
        if !argv.is_empty() {
            self.builder.command(argv, place);
        }
    }

    /// `export`, `local`, `unset` and their like.
    fn declaration(&mut self, node: Node<'_>, place: Place) {
        self.builder.feature(Feature::Assignment);
        let children = children(node);
        let argv = children.iter().map(|child| self.word(*child)).collect();
        for child in children {
            if child.is_named() {
                self.deeper(child, place);
            }
        }
        self.bare_words(argv, place);
    }

    fn assignment(&mut self, node: Node<'_>, place: Place) {
        self.builder.feature(Feature::Assignment);
        let name = node.child_by_field_name("name").map(|name| self.text(name)).unwrap_or_default();
        if is_telling_variable(name) || self.text(node).contains(['`', '$']) {
            self.builder.gap(Gap::Foreign);
        }
        self.children(node, place);
    }

    fn redirected(&mut self, node: Node<'_>, place: Place) {
        let whole = node.child_by_field_name("body");
        let mut body = whole;
        // To the grammar a redirection may be one of a whole list; to a shell it is one of the last in it.
        while let Some(list) = body.filter(|body| body.kind() == "list") {
            let mut parts = children(list);
            body = parts.pop();
            for part in parts {
                self.child(part, place);
            }
        }
        self.together(|reader| reader.redirected_body(node, whole, body, place));
    }

    /// The redirections of a node, and the part of its body that they are of.
    fn redirected_body(
        &mut self,
        node: Node<'_>,
        whole: Option<Node<'_>>,
        body: Option<Node<'_>>,
        place: Place,
    ) {
        let mut swallowed = Vec::new();
        for child in children(node) {
            if Some(child) != whole && child.is_named() {
                swallowed.extend(self.redirect(child, place));
            }
        }
        match body {
            Some(body) if body.kind() == "command" => self.command(body, swallowed, place),
            Some(body) => {
                if !swallowed.is_empty() {
                    self.builder.gap(Gap::Unparsed);
                    self.bare_words(swallowed, place);
                }
                self.deeper(body, place);
            }
            None => self.bare_words(swallowed, place),
        }
    }

    /// A redirection. Returns the words behind its target: the grammar counts them in, a shell gives them to the
    /// command.
    fn redirect(&mut self, node: Node<'_>, place: Place) -> Vec<Word> {
        match node.kind() {
            "file_redirect" => self.file_redirect(node, place),
            "heredoc_redirect" => self.heredoc(node, place),
            "herestring_redirect" => {
                self.builder.feature(Feature::Heredoc);
                for child in children(node).into_iter().filter(Node::is_named) {
                    let word = self.word(child);
                    self.builder.text(word.shown().trim_matches('"').to_owned());
                }
                self.children(node, place);
                Vec::new()
            }
            _ => {
                self.builder.gap(Gap::Unparsed);
                self.deeper(node, place);
                Vec::new()
            }
        }
    }

    fn file_redirect(&mut self, node: Node<'_>, place: Place) -> Vec<Word> {
        // A shell wants the target on the same line.
        if self.text(node).contains('\n') {
            self.builder.gap(Gap::Unparsed);
        }
        let mut words = Vec::new();
        let (mut duplicates, mut is_input) = (false, false);
        let mut before = "";
        for child in children(node) {
            match child.kind() {
                "file_descriptor" => {}
                ">&" | "<&" => duplicates = true,
                "<" => is_input = true,
                // The grammar does not know `<>`.
                "ERROR" if before == "<" && self.text(child) == ">" => is_input = false,
                _ if child.is_named() => {
                    words.push(self.word(child));
                    self.deeper(child, place);
                }
                _ => {}
            }
            before = child.kind();
        }
        if words.is_empty() {
            return words;
        }
        let target = words.remove(0);
        let text = target.text().unwrap_or_default();
        let is_descriptor =
            duplicates && !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
        if text != "/dev/null" && !is_descriptor {
            if is_input {
                self.builder.redirect(target);
            } else {
                self.builder.output(target);
            }
        }
        words
    }

    fn heredoc(&mut self, node: Node<'_>, place: Place) -> Vec<Word> {
        self.builder.feature(Feature::Heredoc);
        if !self.is_heredoc_understood(node) {
            self.builder.gap(Gap::Unparsed);
        }
        let mut behind = Vec::new();
        for (child, field) in fields(node) {
            match child.kind() {
                "heredoc_start" | "heredoc_end" => {}
                "heredoc_body" => self.children(child, place),
                "file_redirect" | "herestring_redirect" => behind.extend(self.redirect(child, place)),
                _ if field == Some("argument") => {
                    behind.push(self.word(child));
                    self.deeper(child, place);
                }
                _ if child.is_named() => self.deeper(child, place),
                _ => {}
            }
        }
        behind
    }

    /// Whether the document ends where a shell says; and notes substitutions in it, not all of which the grammar sees.
    fn is_heredoc_understood(&mut self, node: Node<'_>) -> bool {
        let this = &*self;
        let part = |kind| {
            children(node).into_iter().find(|child| child.kind() == kind).map(|child| this.text(child))
        };
        let body = part("heredoc_body").unwrap_or_default();
        let (start, end) = (part("heredoc_start"), part("heredoc_end"));
        self.builder.text(body.to_owned());
        let (Some(start), Some(end)) = (start, end) else { return false };
        let Word::Plain(delimiter) = word::read(start) else { return false };
        let is_understood = end.trim_matches(['\t', '\n']) == delimiter
            && !body.trim_end_matches('\n').lines().any(|line| line.trim_start_matches('\t') == delimiter);
        if start == delimiter && (body.contains('`') || body.contains("$(")) {
            self.builder.gap(Gap::Foreign);
            self.unseen(substitutions(body));
        }
        is_understood
    }

    /// Reads commands that stand in what the grammar may take for mere text.
    fn unseen(&mut self, scripts: Vec<String>) {
        for script in scripts {
            self.builder.descend(|builder| read(builder, &script, Place::Substitution));
        }
    }

    fn function(&mut self, node: Node<'_>) {
        self.builder.feature(Feature::Function);
        let name =
            node.child_by_field_name("name").map(|name| self.text(name)).unwrap_or_default().to_owned();
        let body = node.child_by_field_name("body").map(|body| self.text(body)).unwrap_or_default();
        let calls = body.split(|character: char| character.is_whitespace() || ";|&(){}".contains(character));
        if !name.is_empty() && body.contains(['|', '&']) && calls.filter(|call| *call == name).count() > 1 {
            self.builder.feature(Feature::ForkBomb);
        }
        self.children(node, Place::Function);
    }

    /// A comment begins at a word's beginning; what the grammar takes for one elsewhere may run.
    fn comment(&mut self, node: Node<'_>) {
        let before = self.script.get(..node.start_byte()).unwrap_or_default().chars().next_back();
        if !before.is_none_or(|before| before.is_ascii_whitespace() || ";|&()".contains(before)) {
            self.builder.gap(Gap::Unparsed);
        }
    }
}

/// What stands in a text between backquotes, and in `$( )`, `<( )` and `>( )`, but for arithmetic.
fn substitutions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut quoted: Option<String> = None;
    let mut chars = text.char_indices();
    let mut closed = 0;
    while let Some((at, character)) = chars.next() {
        match character {
            '\\' => {
                let escaped = chars.next().map(|(_, escaped)| escaped);
                if let Some(quoted) = &mut quoted {
                    quoted.extend(Some('\\').filter(|_| escaped != Some('`')));
                    quoted.extend(escaped);
                }
            }
            '`' => match quoted.take() {
                Some(script) => found.push(script),
                None => quoted = Some(String::new()),
            },
            '$' | '<' | '>' if at >= closed => {
                let rest = text.get(at.saturating_add(1)..).unwrap_or_default();
                let inside =
                    rest.strip_prefix('(').filter(|inside| !inside.starts_with('(')).map(until_closed);
                if let Some(inside) = inside {
                    // What is in it is found when it is read.
                    closed = at.saturating_add(inside.len());
                    found.push(inside.to_owned());
                }
                quoted.iter_mut().for_each(|quoted| quoted.push(character));
            }
            _ => quoted.iter_mut().for_each(|quoted| quoted.push(character)),
        }
    }
    found.extend(quoted);
    found
}

/// The text up to the `)` that closes it.
fn until_closed(text: &str) -> &str {
    let mut open = 0_u32;
    let end = text.find(|character| {
        match character {
            '(' => open = open.saturating_add(1),
            ')' if open == 0 => return true,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        false
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The place inside a construct: what stands inside something else already stays there.
fn inner(place: Place, here: Place) -> Place {
    if place == Place::Top { here } else { place }
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor).collect()
}

/// The children, each with the name of its field.
fn fields(node: Node<'_>) -> Vec<(Node<'_>, Option<&str>)> {
    let mut cursor = node.walk();
    let mut found = Vec::new();
    let mut is_there = cursor.goto_first_child();
    while is_there {
        found.push((cursor.node(), cursor.field_name()));
        is_there = cursor.goto_next_sibling();
    }
    found
}
