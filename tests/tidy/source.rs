//! Rust source without its comments and without what stands in its strings. Knows just enough of the language
//! for that.

/// What stands in for each character of a string or character literal.
const FILLER: char = '~';

/// The text with comments blanked and the insides of literals filled, so that what is left is code. Every
/// line break stays, and so does the length in characters.
pub(crate) fn code_of(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = Stripper { letters: &letters, at: 0, out: String::with_capacity(text.len()) };
    while code.at < letters.len() {
        code.step();
    }
    code.out
}

/// How many lines have code on them.
pub(crate) fn code_lines(text: &str) -> usize {
    code_of(text).lines().filter(|line| !line.trim().is_empty()).count()
}

struct Stripper<'a> {
    letters: &'a [char],
    at: usize,
    out: String,
}

impl Stripper<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => {
                while self.peek(0).is_some_and(|letter| letter != '\n') {
                    self.put(' ');
                }
            }
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(0),
            (Some('r'), Some('"' | '#')) if !self.follows_a_word() => self.raw_string(),
            (Some('\''), _) => self.quote(),
            (Some(_), _) => self.copy(),
            (None, _) => {}
        }
    }

    /// Whether the letter before belongs to a word, other than the `b` or `c` that may prefix a raw string.
    fn follows_a_word(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map(|at| self.letters[at]);
        let is_word =
            |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        match before(1) {
            Some('b' | 'c') => is_word(before(2)),
            other => is_word(other),
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(letter) = self.peek(0) {
            match (letter, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.put(' ');
                    continue;
                }
            }
            self.put(' ');
            self.put(' ');
            if depth == 0 {
                return;
            }
        }
    }

    /// A string that begins here with its quote. With no hashes a backslash escapes.
    fn string(&mut self, hashes: usize) {
        self.copy();
        while let Some(letter) = self.peek(0) {
            if letter == '\\' && hashes == 0 {
                self.put(FILLER);
                self.put(FILLER);
            } else if letter == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                for _ in 0..=hashes {
                    self.copy();
                }
                return;
            } else {
                self.put(FILLER);
            }
        }
    }

    /// `r"…"`, `r#"…"#` and so on, or a raw name such as `r#type`.
    fn raw_string(&mut self) {
        let mut hashes = 0;
        while self.peek(1 + hashes) == Some('#') {
            hashes += 1;
        }
        let is_string = self.peek(1 + hashes) == Some('"');
        for _ in 0..=hashes {
            self.copy();
        }
        if is_string {
            // Without hashes nothing can end it but a quote, and no backslash escapes it.
            if hashes == 0 { self.raw_without_hashes() } else { self.string(hashes) }
        }
    }

    fn raw_without_hashes(&mut self) {
        self.copy();
        while self.peek(0).is_some_and(|letter| letter != '"') {
            self.put(FILLER);
        }
        self.copy();
    }

    /// A character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        let is_literal = self.peek(1) == Some('\\') || self.peek(2) == Some('\'');
        self.copy();
        if !is_literal {
            return;
        }
        if self.peek(0) == Some('\\') {
            self.put(FILLER);
        }
        self.put(FILLER);
        while self.peek(0).is_some_and(|letter| letter != '\'') {
            self.put(FILLER);
        }
        self.copy();
    }

    fn copy(&mut self) {
        if let Some(letter) = self.peek(0) {
            self.out.push(letter);
            self.at += 1;
        }
    }

    /// Puts something else in place of a letter, but for line breaks.
    fn put(&mut self, other: char) {
        if let Some(letter) = self.peek(0) {
            self.out.push(if letter == '\n' { '\n' } else { other });
            self.at += 1;
        }
    }
}

#[test]
fn comments_and_the_insides_of_literals_are_no_code() {
    for (text, code) in [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("a // b") // c"#, r#"f("~~~~~~")     "#),
        (r#"f("\"x") y"#, r#"f("~~~") y"#),
        (r##"r#"a"b"# c"##, r##"r#"~~~"# c"##),
        (r#"br"\" c"#, r#"br"~" c"#),
        ("r#type x", "r#type x"),
        ("'\"' 'a 'b", "'~' 'a 'b"),
        (r"'\'' x", r"'~~' x"),
        (r"'\u{7f}' x", r"'~~~~~~' x"),
        ("var\"a\"", "var\"~\""),
    ] {
        assert_eq!(code_of(text), code, "{text}");
    }
}

#[test]
fn blank_and_comment_lines_do_not_count() {
    assert_eq!(code_lines("//! doc\n\nfn f() {\n    // why\n    g(); /* a\n b */\n}\n"), 3);
    assert_eq!(code_lines("let a = \"one\ntwo // three\";\n"), 2);
}
