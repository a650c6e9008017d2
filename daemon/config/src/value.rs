//! One value at its place: read as what it should be, or complained of there. Knows nothing of which keys
//! exist.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use protocol::error::ConfigurationProblem;
use toml::de::{DeTable, DeValue};

use crate::duration;
use crate::section::Section;
use crate::source::Source;

/// No duration is longer.
const LONGEST_MS: u64 = 3650 * 24 * 60 * 60 * 1000;

/// What is wrong, as it is found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: RefCell<Vec<ConfigurationProblem>>,
    warnings: RefCell<Vec<ConfigurationProblem>>,
}

impl Problems {
    /// Adds what keeps the settings from being used.
    pub(crate) fn error(&self, problem: ConfigurationProblem) {
        self.errors.borrow_mut().push(problem);
    }

    /// Adds what is ignored, or not as it was asked for.
    pub(crate) fn warn(&self, problem: ConfigurationProblem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// Errors and warnings, those of the file in its order, then those of the overrides in theirs.
    pub(crate) fn into_lists(self) -> (Vec<ConfigurationProblem>, Vec<ConfigurationProblem>) {
        let sorted = |problems: RefCell<Vec<ConfigurationProblem>>| {
            let mut problems = problems.into_inner();
            problems.sort_by_key(|problem| (problem.line.is_none(), problem.line, problem.column));
            problems
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// A place, and the dotted key that it belongs to.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    source: &'a Source,
    problems: &'a Problems,
    key: String,
    span: Range<usize>,
}

impl<'a> Place<'a> {
    /// The whole of a source.
    pub(crate) fn whole(source: &'a Source, problems: &'a Problems) -> Self {
        Self { source, problems, key: String::new(), span: 0..0 }
    }

    /// A part of what stands here.
    pub(crate) fn within(&self, key: &str, span: Range<usize>) -> Self {
        let is_bare = !key.is_empty()
            && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
        let part = if is_bare { key.to_owned() } else { format!("{key:?}") };
        let key = if self.key.is_empty() { part } else { format!("{}.{part}", self.key) };
        Self { key, span, ..self.clone() }
    }

    /// The dotted key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Complains; the settings can't be used.
    pub(crate) fn error(&self, message: String, suggestion: Option<String>) {
        self.problems.error(self.problem(message, suggestion));
    }

    /// Complains; the settings can be used.
    pub(crate) fn warn(&self, message: String, suggestion: Option<String>) {
        self.problems.warn(self.problem(message, suggestion));
    }

    fn problem(&self, message: String, suggestion: Option<String>) -> ConfigurationProblem {
        let key = (!self.key.is_empty()).then(|| self.key.clone());
        ConfigurationProblem { key, suggestion, ..self.source.problem(self.span.clone(), message) }
    }
}

/// A value. Each way of reading it gives `None` after it has complained.
pub(crate) struct Value<'a> {
    place: Place<'a>,
    node: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(crate) fn new(place: Place<'a>, node: &'a DeValue<'a>) -> Self {
        Self { place, node }
    }

    pub(crate) fn node(&self) -> &'a DeValue<'a> {
        self.node
    }

    pub(crate) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// A table.
    pub(crate) fn table(&self) -> Option<&'a DeTable<'a>> {
        match self.node {
            DeValue::Table(table) => Some(table),
            _ => self.is_not("a table"),
        }
    }

    /// A table whose keys are known.
    pub(crate) fn section(&self) -> Option<Section<'a>> {
        self.table().map(|table| Section::new(self.place.clone(), table))
    }

    /// A table whose keys are names that a person chose.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Value<'a>)> {
        let entries = self.table().into_iter().flatten();
        entries
            .map(|(name, value)| {
                // A header's own place says more than that of all that stands under it.
                let span = if value.get_ref().is_table() { name.span() } else { value.span() };
                let place = self.place.within(name.get_ref(), span);
                (name.get_ref().as_ref(), Value::new(place, value.get_ref()))
            })
            .collect()
    }

    /// Text, which may be empty.
    pub(crate) fn any_text(&self) -> Option<&'a str> {
        match self.node {
            DeValue::String(text) => Some(text),
            _ => self.is_not("text"),
        }
    }

    /// Whether it is this text.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(self.node, DeValue::String(found) if found == text)
    }

    /// Whether it is text at all.
    pub(crate) fn is_some_text(&self) -> bool {
        matches!(self.node, DeValue::String(_))
    }

    /// Text that is not empty.
    pub(crate) fn text(&self) -> Option<String> {
        match self.any_text()? {
            "" => self.refuse("must not be empty", None),
            text => Some(text.to_owned()),
        }
    }

    /// One of several words.
    pub(crate) fn word<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.any_text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let meant = nearest(text, words.iter().map(|(word, _)| *word));
            return self.refuse(&format!("must be one of {}, but is `{text}`", known.join(", ")), meant);
        }
        found.map(|(_, value)| value.clone())
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.node {
            DeValue::Boolean(value) => Some(*value),
            _ => self.is_not("`true` or `false`"),
        }
    }

    /// A whole number within these ends.
    pub(crate) fn whole<T: TryFrom<i128> + Into<i128> + Copy>(&self, range: RangeInclusive<T>) -> Option<T> {
        let DeValue::Integer(literal) = self.node else {
            return self.is_not("a whole number");
        };
        let (least, most): (i128, i128) = ((*range.start()).into(), (*range.end()).into());
        let number = i128::from_str_radix(literal.as_str(), literal.radix()).ok();
        match number {
            Some(number) if number < least => {
                self.refuse(&format!("must be {least} or more, but is {number}"), None)
            }
            Some(number) if number <= most => T::try_from(number).ok(),
            _ => self.refuse(&format!("must be {most} or less, but is {literal}"), None),
        }
    }

    /// A whole number that is lowered to `most` with a warning.
    pub(crate) fn capped(&self, most: u32) -> Option<u32> {
        let number = self.whole(0..=u32::MAX)?;
        if number > most {
            self.place
                .warn(format!("`{}` is {number}, but {most} is the most there may be", self.key()), None);
        }
        Some(number.min(most))
    }

    /// A number that is not negative.
    pub(crate) fn number(&self) -> Option<f64> {
        let literal = match self.node {
            DeValue::Integer(literal) if literal.radix() == 10 => literal.as_str(),
            DeValue::Float(literal) => literal.as_str(),
            _ => return self.is_not("a number"),
        };
        match literal.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Some(number),
            _ => self.refuse(&format!("must be 0 or more, but is {literal}"), None),
        }
    }

    /// A duration in milliseconds: a number of them, or text such as `10m`. Never 0, never so long that adding it
    /// to a point in time could overflow.
    pub(crate) fn duration(&self) -> Option<u64> {
        let milliseconds = match self.node {
            DeValue::Integer(_) => self.whole(1..=u64::MAX)?,
            DeValue::String(text) => match duration::parse(text) {
                Some(milliseconds) => milliseconds,
                None => {
                    let message = "must be a duration such as `90s`, `10m` or `1h30m`, but is";
                    return self.refuse(&format!("{message} `{text}`"), None);
                }
            },
            _ => return self.is_not("a duration such as `\"10m\"`, or milliseconds"),
        };
        match milliseconds {
            0 => self.refuse("must be more than 0", None),
            1..=LONGEST_MS => Some(milliseconds),
            _ => self.refuse("must be 3650 days or less", None),
        }
    }

    /// An absolute path; in a file also one that starts from the file's folder.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        let path = Path::new(&text);
        if path.is_absolute() {
            Some(path.to_owned())
        } else if path.starts_with("~") {
            self.refuse("must be an absolute path; `~` is not expanded here", None)
        } else if let Some(folder) = self.place.source.folder() {
            Some(folder.join(path))
        } else {
            self.refuse(&format!("must be an absolute path, but is `{text}`"), None)
        }
    }

    /// A list; all that is wrong in it is complained of.
    pub(crate) fn list<T>(&self, read: impl Fn(&Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(elements) = self.node else {
            return self.is_not("a list");
        };
        let values: Vec<Option<T>> = elements
            .iter()
            .map(|element| {
                let place = Place { span: element.span(), ..self.place.clone() };
                read(&Value::new(place, element.get_ref()))
            })
            .collect();
        values.into_iter().collect()
    }

    /// A table of texts.
    pub(crate) fn texts(&self) -> Option<BTreeMap<String, String>> {
        self.table()?;
        let entries = self.entries();
        let texts: Vec<_> = entries
            .iter()
            .map(|(name, value)| Some(((*name).to_owned(), value.any_text()?.to_owned())))
            .collect();
        texts.into_iter().collect()
    }

    /// Complains that the value is wrong; `what` follows the key.
    pub(crate) fn refuse<T>(&self, what: &str, suggestion: Option<String>) -> Option<T> {
        self.place.error(format!("`{}` {what}", self.key()), suggestion);
        None
    }

    fn is_not<T>(&self, wanted: &str) -> Option<T> {
        let found = match self.node {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(&format!("must be {wanted}, but is {found}"), None)
    }

    fn key(&self) -> &str {
        self.place.key()
    }
}

/// The word that was probably meant: the one that is most alike, or the only one that it is a part of.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    /// Two words that are less alike than this have nothing to do with each other.
    const ALIKE: f64 = 0.87;
    /// A shorter part says nothing.
    const SHORTEST: usize = 4;
    let known: Vec<&str> = known.collect();
    let alike = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate);
    let is_part =
        |candidate: &&&str| candidate.contains('_') && candidate.split('_').any(|part| part == word);
    let mut whole = known.iter().filter(is_part).filter(|_| word.len() >= SHORTEST);
    let only = whole.next().copied().filter(|_| whole.next().is_none());
    alike.or(only).map(str::to_owned)
}
