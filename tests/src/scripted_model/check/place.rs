//! A place in a body, and what may stand there. Knows how the provider words its complaints.

use std::fmt;

use serde_json::{Map, Value};

use crate::scripted_model::check::{Checked, Invalid};

/// Where a value stands. Written out only when there is something to complain about.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(formatter)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if parent.parent.is_none() => formatter.write_str(name),
            Step::Field(name) => write!(formatter, ".{name}"),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl Place<'_> {
    pub(crate) fn root() -> Place<'static> {
        Place { parent: None, step: Step::Root }
    }

    pub(crate) fn field<'b>(&'b self, name: &'b str) -> Place<'b> {
        Place { parent: Some(self), step: Step::Field(name) }
    }

    pub(crate) fn index(&self, index: usize) -> Place<'_> {
        Place { parent: Some(self), step: Step::Index(index) }
    }

    pub(crate) fn invalid(&self, message: String, code: Option<&'static str>) -> Invalid {
        Invalid { message, param: Some(self.to_string()), code }
    }

    pub(crate) fn wrong_type(&self, expected: &str, found: &Value) -> Invalid {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let message = format!("Invalid type for '{self}': expected {expected}, but got {found} instead.");
        self.invalid(message, Some("invalid_type"))
    }

    pub(crate) fn unknown(&self) -> Invalid {
        self.invalid(format!("Unknown parameter: '{self}'."), Some("unknown_parameter"))
    }

    /// The value of a field that must be there.
    pub(crate) fn required<'v>(&self, object: &'v Value, name: &str) -> Result<&'v Value, Invalid> {
        object.get(name).ok_or_else(|| {
            let place = self.field(name);
            place.invalid(
                format!("Missing required parameter: '{place}'."),
                Some("missing_required_parameter"),
            )
        })
    }

    /// Complains of fields that are not among these.
    pub(crate) fn only(&self, object: &Value, known: &[&str]) -> Checked {
        for name in self.object(object)?.keys() {
            if !known.contains(&name.as_str()) {
                return Err(self.field(name).unknown());
            }
        }
        Ok(())
    }

    pub(crate) fn object<'v>(&self, value: &'v Value) -> Result<&'v Map<String, Value>, Invalid> {
        value.as_object().ok_or_else(|| self.wrong_type("an object", value))
    }

    pub(crate) fn text<'v>(&self, value: &'v Value) -> Result<&'v str, Invalid> {
        value.as_str().ok_or_else(|| self.wrong_type("a string", value))
    }

    pub(crate) fn non_empty_text(&self, value: &Value) -> Checked {
        if self.text(value)?.is_empty() {
            return Err(self.invalid(format!("Invalid '{self}': empty string."), Some("empty_string")));
        }
        Ok(())
    }

    pub(crate) fn text_or_null(&self, value: &Value) -> Checked {
        if value.is_null() { Ok(()) } else { self.text(value).map(|_| ()) }
    }

    pub(crate) fn short_text(&self, value: &Value, limit: usize) -> Checked {
        let length = self.text(value)?.chars().count();
        if length <= limit {
            return Ok(());
        }
        let message = format!(
            "Invalid '{self}': string too long. Expected a string with maximum length {limit}, but got a string \
             with length {length} instead."
        );
        Err(self.invalid(message, Some("string_above_max_length")))
    }

    /// The name of a tool or a format.
    pub(crate) fn name(&self, value: &Value) -> Checked {
        self.non_empty_text(value)?;
        self.short_text(value, 64)?;
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if self.text(value)?.chars().all(is_allowed) {
            return Ok(());
        }
        let message = format!(
            "Invalid '{self}': string does not match pattern. Expected a string that matches the pattern \
             '^[a-zA-Z0-9_-]+$'."
        );
        Err(self.invalid(message, Some("invalid_value")))
    }

    pub(crate) fn boolean(&self, value: &Value) -> Checked {
        if value.is_boolean() || value.is_null() { Ok(()) } else { Err(self.wrong_type("a boolean", value)) }
    }

    pub(crate) fn count_or_null(&self, value: &Value) -> Checked {
        if value.is_u64() || value.is_null() { Ok(()) } else { Err(self.wrong_type("an integer", value)) }
    }

    pub(crate) fn number_or_null(&self, value: &Value) -> Checked {
        if value.is_number() || value.is_null() { Ok(()) } else { Err(self.wrong_type("a number", value)) }
    }

    pub(crate) fn one_of(&self, value: &Value, allowed: &[&str]) -> Checked {
        let text = self.text(value)?;
        if allowed.contains(&text) {
            return Ok(());
        }
        let list = allowed.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let message = format!("Invalid value: '{text}'. Supported values are: {list}.");
        Err(self.invalid(message, Some("invalid_value")))
    }

    /// Checks each element of an array.
    pub(crate) fn each(&self, value: &Value, check: impl Fn(&Place<'_>, &Value) -> Checked) -> Checked {
        let all = value.as_array().ok_or_else(|| self.wrong_type("an array", value))?;
        all.iter().enumerate().try_for_each(|(index, value)| check(&self.index(index), value))
    }
}
