//! Reads the part of Starlark that rules are written in: calls of functions with strings and lists of strings, and
//! comments. Whatever else the language has (`def`, `for`, `if`, names, operators) is an error with its place: so a
//! text costs no more than its length, and there is nothing to run that could not end.

/// A text that is longer is refused.
const LONGEST: usize = 1024 * 1024;
/// Lists may stand in lists so deep.
const DEEPEST: u32 = 3;

/// Why a text with rules can't be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct RulesError {
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub problem: RuleProblem,
}

/// What is wrong with a text with rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// The text is too long.
    #[error("The file is longer than 1 MiB")]
    TooLong,
    /// There are too many rules in all.
    #[error("There are more than 10000 rules")]
    TooMany,
    /// Lists stand too deep in each other.
    #[error("Lists are nested too deeply")]
    TooDeep,
    /// Something else belongs here.
    #[error("Expected {0}")]
    Expected(&'static str),
    /// A string does not end.
    #[error("The string is not closed")]
    OpenString,
    /// An escape in a string that is not known.
    #[error("The escape in the string is not known")]
    Escape,
    /// More of the language than is read.
    #[error("`{0}` is not understood: rules are written out, one call each")]
    Language(String),
    /// A function that is not known.
    #[error("There is no function `{0}`")]
    Function(String),
    /// An argument that the function does not take.
    #[error("`{0}` is not an argument of this function")]
    Argument(String),
    /// An argument that is given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// An argument that is not given.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that does not fit.
    #[error("`{argument}` must be {expected}")]
    Value {
        /// The argument.
        argument: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An example of `match` that the rule does not match.
    #[error("The rule does not match its example `{0}`")]
    NoMatch(String),
    /// An example of `not_match` that the rule matches.
    #[error("The rule matches `{0}`, which it should not")]
    Match(String),
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A problem at its place.
pub(crate) type Problem = (At, RuleProblem);

/// One call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) at: At,
    pub(crate) function: String,
    pub(crate) arguments: Vec<Argument>,
}

/// One argument of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) at: At,
    /// Absent: it is told by its position.
    pub(crate) name: Option<String>,
    pub(crate) value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Text(String),
    List(Vec<Value>),
}

/// Reads a whole text.
pub(crate) fn read(text: &str) -> Result<Vec<Call>, Problem> {
    let mut reader = Reader { rest: text, at: At { line: 1, column: 1 } };
    if text.len() > LONGEST {
        return Err((reader.at, RuleProblem::TooLong));
    }
    let mut calls = Vec::new();
    loop {
        reader.skip();
        if reader.peek().is_none() {
            return Ok(calls);
        }
        calls.push(reader.call()?);
    }
}

struct Reader<'a> {
    rest: &'a str,
    at: At,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = self.rest.get(character.len_utf8()..)?;
        if character == '\n' {
            self.at = At { line: self.at.line.saturating_add(1), column: 1 };
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(character)
    }

    fn eat(&mut self, expected: &str) -> bool {
        let is_there = self.rest.starts_with(expected);
        if is_there {
            for _ in expected.chars() {
                self.next();
            }
        }
        is_there
    }

    /// Skips blanks, ends of lines and comments.
    fn skip(&mut self) {
        while let Some(character) = self.peek() {
            match character {
                '#' => {
                    while self.peek().is_some_and(|character| character != '\n') && self.next().is_some() {}
                }
                ' ' | '\t' | '\r' | '\n' => _ = self.next(),
                _ => return,
            }
        }
    }

    /// Skips blanks and comments up to the next call: it must stand on a line of its own, or behind `;`.
    fn end_of_call(&mut self) -> Result<(), Problem> {
        while self.peek().is_some_and(|character| matches!(character, ' ' | '\t' | '\r')) {
            self.next();
        }
        match self.peek() {
            None | Some('\n' | '#') => Ok(()),
            Some(';') => {
                self.next();
                Ok(())
            }
            Some(other) => Err((self.at, RuleProblem::Language(other.to_string()))),
        }
    }

    fn expect(&mut self, expected: &'static str, name: &'static str) -> Result<(), Problem> {
        self.skip();
        if self.eat(expected) { Ok(()) } else { Err((self.at, RuleProblem::Expected(name))) }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.peek() {
            if !(character == '_' || character.is_ascii_alphanumeric()) {
                break;
            }
            name.push(character);
            self.next();
        }
        name
    }

    fn call(&mut self) -> Result<Call, Problem> {
        let at = self.at;
        let function = self.name();
        if function.is_empty() {
            let found = self.peek().map(String::from).unwrap_or_default();
            return Err((at, RuleProblem::Language(found)));
        }
        self.skip();
        if !self.eat("(") {
            return Err((at, RuleProblem::Language(function)));
        }
        let mut arguments = Vec::new();
        loop {
            self.skip();
            if self.eat(")") {
                break;
            }
            arguments.push(self.argument()?);
            self.skip();
            if !self.eat(",") {
                self.expect(")", "`,` or `)`")?;
                break;
            }
        }
        self.end_of_call()?;
        Ok(Call { at, function, arguments })
    }

    fn argument(&mut self) -> Result<Argument, Problem> {
        let at = self.at;
        let is_named =
            self.rest.starts_with(|character: char| character == '_' || character.is_ascii_alphabetic())
                && !self.starts_string();
        if !is_named {
            return Ok(Argument { at, name: None, value: self.value(0)? });
        }
        let name = self.name();
        self.skip();
        if self.rest.starts_with("==") || !self.eat("=") {
            return match name.as_str() {
                "None" => Ok(Argument { at, name: None, value: Value::None }),
                _ => Err((at, RuleProblem::Language(name))),
            };
        }
        self.skip();
        Ok(Argument { at, name: Some(name), value: self.value(0)? })
    }

    fn starts_string(&self) -> bool {
        let text = self.rest.strip_prefix('r').unwrap_or(self.rest);
        text.starts_with(['"', '\''])
    }

    fn value(&mut self, depth: u32) -> Result<Value, Problem> {
        let at = self.at;
        if depth > DEEPEST {
            return Err((at, RuleProblem::TooDeep));
        }
        if self.starts_string() {
            return self.string().map(Value::Text);
        }
        if self.eat("[") {
            let mut values = Vec::new();
            loop {
                self.skip();
                if self.eat("]") {
                    return Ok(Value::List(values));
                }
                values.push(self.value(depth.saturating_add(1))?);
                self.skip();
                if !self.eat(",") {
                    self.expect("]", "`,` or `]`")?;
                    return Ok(Value::List(values));
                }
            }
        }
        match self.name().as_str() {
            "None" => Ok(Value::None),
            "" => Err((at, RuleProblem::Expected("a string or a list of strings"))),
            other => Err((at, RuleProblem::Language(other.to_owned()))),
        }
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let is_raw = self.eat("r");
        let quote =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| self.eat(quote)).unwrap_or_default();
        let mut text = String::new();
        loop {
            if self.eat(quote) {
                return Ok(text);
            }
            let at = self.at;
            match self.next() {
                None => return Err((start, RuleProblem::OpenString)),
                Some('\n') if quote.len() == 1 => return Err((start, RuleProblem::OpenString)),
                Some('\\') if is_raw => {
                    text.push('\\');
                    text.extend(self.next());
                }
                Some('\\') => self.escape(&mut text).ok_or((at, RuleProblem::Escape))?,
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let character = match self.next()? {
            '\n' => return Some(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            same @ ('\\' | '\'' | '"') => same,
            'x' => self.character(2)?,
            'u' => self.character(4)?,
            'U' => self.character(8)?,
            _ => return None,
        };
        text.push(character);
        Some(())
    }

    fn character(&mut self, digits: u32) -> Option<char> {
        let mut number = 0_u32;
        for _ in 0..digits {
            number = number.checked_mul(16)?.checked_add(self.next()?.to_digit(16)?)?;
        }
        char::from_u32(number)
    }
}
