//! What a question wants to know, field by field: options to choose from, or text. Knows nothing of how an answer
//! travels. What stands in a field was written by a model or a server: it is bounded, and drawn harmless.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::question::{Decision, Prompt, QuestionKind};
use serde_json::{Map, Value};

/// Fields of a form, options of a field, and bytes of a text.
const MOST_FIELDS: usize = 32;
const MOST_OPTIONS: usize = 50;
const MOST_BYTES: usize = 16 * 1024;

/// What a question wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    fields: Vec<Field>,
    at: usize,
    /// What is wrong with the answer that was given last.
    pub(crate) complaint: Option<&'static str>,
    is_schema: bool,
}

/// One thing that it wants to know, and what was answered so far.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    id: String,
    pub(crate) header: String,
    pub(crate) question: String,
    pub(crate) options: Vec<Choice>,
    pub(crate) takes_text: bool,
    takes_several: bool,
    is_required: bool,
    kind: Kind,
    /// The row that is pointed at; the one after the options is the text.
    pub(crate) cursor: usize,
    /// What was written.
    pub(crate) text: String,
}

/// Something that can be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) label: String,
    pub(crate) description: String,
    value: Value,
    pub(crate) is_chosen: bool,
}

/// What a text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
}

/// What a key means to a form.
#[derive(Debug, PartialEq)]
pub(crate) enum Given {
    /// Something within it.
    Nothing,
    /// A no.
    Declined,
    All(Decision),
}

impl Form {
    /// The form of a question, if it has one.
    pub(crate) fn of(kind: &QuestionKind) -> Option<Self> {
        let (fields, is_schema) = match kind {
            QuestionKind::UserInput { prompts } => (prompts.iter().map(Field::of_prompt).collect(), false),
            QuestionKind::Elicitation { schema, .. } => (fields_of(schema), true),
            QuestionKind::Command { .. }
            | QuestionKind::FileChange { .. }
            | QuestionKind::Network { .. }
            | QuestionKind::Permissions { .. }
            | QuestionKind::Tool { .. }
            | QuestionKind::Sampling { .. }
            | QuestionKind::ClientTool { .. }
            | QuestionKind::Unknown(_) => return None,
        };
        let mut fields: Vec<Field> = fields;
        fields.truncate(MOST_FIELDS);
        Some(Self { fields, at: 0, complaint: None, is_schema })
    }

    /// The field that is asked now; absent if there is nothing to say but yes.
    pub(crate) fn field(&self) -> Option<&Field> {
        self.fields.get(self.at)
    }

    /// Which field of how many.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.at + 1, self.fields.len())
    }

    /// Text was pasted.
    pub(crate) fn paste(&mut self, text: &str) {
        self.complaint = None;
        if let Some(field) = self.fields.get_mut(self.at).filter(|field| field.takes_text) {
            field.cursor = field.options.len();
            let room = MOST_BYTES.saturating_sub(field.text.len());
            let mut end = text.len().min(room);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            field.text.push_str(&text[..end]);
        }
    }

    /// A key that is meant for it.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Given {
        if key.code == KeyCode::Esc {
            return Given::Declined;
        }
        let Some(field) = self.fields.get_mut(self.at) else {
            return if key.code == KeyCode::Enter { self.all() } else { Given::Nothing };
        };
        self.complaint = None;
        let is_text = field.takes_text && field.cursor == field.options.len();
        let has_control = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter => return self.next(),
            KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            KeyCode::Up => field.go(-1),
            KeyCode::Down | KeyCode::Tab => field.go(1),
            KeyCode::Backspace if is_text => {
                field.text.pop();
            }
            KeyCode::Char('u') if is_text && has_control => field.text.clear(),
            KeyCode::Char(letter) if !has_control => {
                let digit = letter.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                match digit.and_then(|digit| digit.checked_sub(1)) {
                    Some(number) if !is_text && number < field.options.len() => {
                        field.cursor = number;
                        if field.takes_several {
                            field.toggle();
                        } else {
                            return self.next();
                        }
                    }
                    Some(_) | None if !is_text && letter == ' ' && field.takes_several => field.toggle(),
                    Some(_) | None if field.takes_text => self.paste(letter.encode_utf8(&mut [0; 4])),
                    Some(_) | None => {}
                }
            }
            _ => {}
        }
        Given::Nothing
    }

    /// The field is answered; what comes next.
    fn next(&mut self) -> Given {
        let Some(field) = self.fields.get_mut(self.at) else { return self.all() };
        if let Some(complaint) = field.settle() {
            self.complaint = Some(complaint);
            return Given::Nothing;
        }
        self.at += 1;
        if self.at < self.fields.len() { Given::Nothing } else { self.all() }
    }

    fn all(&mut self) -> Given {
        self.at = self.at.min(self.fields.len().saturating_sub(1));
        Given::All(if self.is_schema {
            let given = self.fields.iter().filter_map(|field| Some((field.id.clone(), field.value()?)));
            Decision::Content { value: Value::Object(given.collect::<Map<_, _>>()) }
        } else {
            let given = self.fields.iter().map(|field| (field.id.clone(), field.texts()));
            Decision::Reply { answers: given.collect::<BTreeMap<_, _>>() }
        })
    }
}

impl Field {
    fn of_prompt(prompt: &Prompt) -> Self {
        let choice = |label: &String, description: &String| Choice {
            label: label.clone(),
            description: description.clone(),
            value: Value::String(label.clone()),
            is_chosen: false,
        };
        let options = prompt.options.iter().take(MOST_OPTIONS);
        Self {
            id: prompt.id.clone(),
            header: prompt.header.clone(),
            question: prompt.text.clone(),
            options: options.map(|option| choice(&option.label, &option.description)).collect(),
            takes_text: prompt.takes_text || prompt.options.is_empty(),
            takes_several: prompt.takes_several,
            is_required: true,
            kind: Kind::Text,
            cursor: 0,
            text: String::new(),
        }
    }

    fn of_property(id: &str, schema: &Value, is_required: bool) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let options = options_of(schema);
        let kind = match schema["type"].as_str() {
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some(_) | None => Kind::Text,
        };
        let title = text("title");
        Self {
            id: id.to_owned(),
            header: if title.is_empty() { id.to_owned() } else { title },
            question: text("description"),
            takes_text: options.is_empty(),
            takes_several: schema["type"] == "array",
            options,
            is_required,
            kind,
            cursor: 0,
            text: schema["default"].as_str().map_or_else(
                || match &schema["default"] {
                    Value::Number(number) => number.to_string(),
                    _ => String::new(),
                },
                str::to_owned,
            ),
        }
    }

    /// Whether more than one option may be chosen.
    pub(crate) fn takes_several(&self) -> bool {
        self.takes_several
    }

    fn rows(&self) -> usize {
        self.options.len() + usize::from(self.takes_text)
    }

    fn go(&mut self, rows: isize) {
        let last = self.rows().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
    }

    fn toggle(&mut self) {
        if let Some(option) = self.options.get_mut(self.cursor) {
            option.is_chosen = !option.is_chosen;
        }
    }

    /// Takes what is pointed at as the answer; what is wrong with it.
    fn settle(&mut self) -> Option<&'static str> {
        if !self.takes_several {
            for (at, option) in self.options.iter_mut().enumerate() {
                option.is_chosen = at == self.cursor;
            }
        }
        let is_text = self.cursor == self.options.len();
        if !self.takes_several && !is_text {
            self.text.clear();
        }
        let is_chosen = self.options.iter().any(|option| option.is_chosen);
        if !is_chosen && self.text.trim().is_empty() {
            return self.is_required.then_some("an answer is needed here");
        }
        if self.text.trim().is_empty() {
            return None;
        }
        match self.kind {
            Kind::Integer if self.text.trim().parse::<i64>().is_err() => {
                Some("a whole number is needed here")
            }
            Kind::Number if self.text.trim().parse::<f64>().is_err() => Some("a number is needed here"),
            Kind::Text | Kind::Integer | Kind::Number => None,
        }
    }

    fn texts(&self) -> Vec<String> {
        let chosen = self.options.iter().filter(|option| option.is_chosen);
        let mut texts: Vec<String> = chosen.map(|option| option.label.clone()).collect();
        texts.extend(Some(self.text.trim()).filter(|text| !text.is_empty()).map(str::to_owned));
        texts
    }

    fn value(&self) -> Option<Value> {
        let chosen: Vec<Value> = self
            .options
            .iter()
            .filter(|option| option.is_chosen)
            .map(|option| option.value.clone())
            .collect();
        if self.takes_several {
            return Some(Value::Array(chosen));
        }
        let text = self.text.trim();
        chosen.into_iter().next().or_else(|| match self.kind {
            _ if text.is_empty() => None,
            Kind::Integer => text.parse::<i64>().ok().map(Value::from),
            Kind::Number => text.parse::<f64>().ok().map(Value::from),
            Kind::Text => Some(Value::from(text)),
        })
    }
}

/// The fields of a flat schema (MCP 2025-11-25, elicitation). What is not flat is asked for as text.
fn fields_of(schema: &Value) -> Vec<Field> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    properties
        .iter()
        .map(|(id, schema)| Field::of_property(id, schema, required.contains(&id.as_str())))
        .collect()
}

fn options_of(schema: &Value) -> Vec<Choice> {
    let choice = |label: String, value: Value| Choice {
        is_chosen: schema["default"] == value,
        label,
        description: String::new(),
        value,
    };
    if schema["type"] == "boolean" {
        return vec![choice("yes".to_owned(), true.into()), choice("no".to_owned(), false.into())];
    }
    let items = if schema["type"] == "array" { &schema["items"] } else { schema };
    let titled = ["oneOf", "anyOf"].into_iter().filter_map(|key| items[key].as_array()).flatten();
    let mut options: Vec<Choice> = titled
        .filter_map(|one| {
            let value = one.get("const")?.clone();
            let title = one["title"].as_str().or(value.as_str()).unwrap_or_default().to_owned();
            Some(choice(title, value))
        })
        .collect();
    let names = items["enumNames"].as_array();
    for (at, value) in items["enum"].as_array().into_iter().flatten().enumerate() {
        let name = names.and_then(|names| names.get(at)).and_then(Value::as_str).or(value.as_str());
        options.push(choice(name.map_or_else(|| value.to_string(), str::to_owned), value.clone()));
    }
    options.truncate(MOST_OPTIONS);
    options
}

#[cfg(test)]
mod tests {
    use protocol::question::PromptOption;
    use serde_json::json;

    use super::*;

    fn key(form: &mut Form, code: KeyCode) -> Given {
        form.key(KeyEvent::from(code))
    }

    fn write(form: &mut Form, text: &str) {
        for letter in text.chars() {
            assert_eq!(key(form, KeyCode::Char(letter)), Given::Nothing);
        }
    }

    fn prompt(id: &str, options: &[&str], takes_text: bool, takes_several: bool) -> Prompt {
        let option = |label: &&str| PromptOption { label: (*label).to_owned(), description: String::new() };
        Prompt {
            id: id.to_owned(),
            header: String::new(),
            text: "Which?".to_owned(),
            options: options.iter().map(option).collect(),
            takes_text,
            takes_several,
        }
    }

    fn form(prompts: Vec<Prompt>) -> Form {
        Form::of(&QuestionKind::UserInput { prompts }).unwrap()
    }

    fn replied(given: Given) -> BTreeMap<String, Vec<String>> {
        let Given::All(Decision::Reply { answers }) = given else { panic!("{given:?}") };
        answers
    }

    #[test]
    fn one_after_the_other_is_answered() {
        let mut form = form(vec![
            prompt("a", &["x", "y"], false, false),
            prompt("b", &["p", "q", "r"], true, true),
            prompt("c", &[], false, false),
        ]);
        assert_eq!(key(&mut form, KeyCode::Char('2')), Given::Nothing);
        write(&mut form, "13");
        for _ in 0..3 {
            key(&mut form, KeyCode::Down);
        }
        write(&mut form, "9 more");
        assert_eq!(key(&mut form, KeyCode::Enter), Given::Nothing);
        write(&mut form, "free");
        let answers = replied(key(&mut form, KeyCode::Enter));
        assert_eq!(answers["a"], ["y"]);
        assert_eq!(answers["b"], ["p", "r", "9 more"]);
        assert_eq!(answers["c"], ["free"]);
    }

    #[test]
    fn nothing_is_no_answer_and_one_may_go_back() {
        let mut form = form(vec![prompt("a", &["x"], true, false), prompt("b", &[], false, false)]);
        key(&mut form, KeyCode::Enter);
        assert_eq!(key(&mut form, KeyCode::Enter), Given::Nothing);
        assert!(form.complaint.is_some());
        key(&mut form, KeyCode::BackTab);
        write(&mut form, "own");
        key(&mut form, KeyCode::Enter);
        write(&mut form, "z");
        let answers = replied(key(&mut form, KeyCode::Enter));
        assert_eq!((&answers["a"], &answers["b"]), (&vec!["own".to_owned()], &vec!["z".to_owned()]));
        assert_eq!(key(&mut form, KeyCode::Esc), Given::Declined);
    }

    #[test]
    fn a_schema_is_answered_with_an_object_of_it() {
        let schema = json!({
            "type": "object",
            "properties": {
                "a_name": {"type": "string", "title": "Name"},
                "b_age": {"type": "integer"},
                "c_ok": {"type": "boolean"},
                "d_colour": {"type": "string", "enum": ["r", "g"], "enumNames": ["red", "green"]},
                "e_note": {"type": "string"},
                "f_many": {"type": "array", "items": {"anyOf": [{"const": "1", "title": "one"}, {"const": "2"}]}},
            },
            "required": ["a_name", "b_age"],
        });
        let kind = QuestionKind::Elicitation { server: "s".into(), message: "m".into(), schema };
        let mut form = Form::of(&kind).unwrap();
        write(&mut form, "Ada");
        key(&mut form, KeyCode::Enter);
        write(&mut form, "x");
        key(&mut form, KeyCode::Enter);
        assert_eq!(form.complaint, Some("a whole number is needed here"));
        key(&mut form, KeyCode::Backspace);
        write(&mut form, "36");
        key(&mut form, KeyCode::Enter);
        write(&mut form, "12");
        key(&mut form, KeyCode::Enter);
        write(&mut form, "2");
        let given = key(&mut form, KeyCode::Enter);
        let value = json!({"a_name": "Ada", "b_age": 36, "c_ok": true, "d_colour": "g", "f_many": ["2"]});
        assert_eq!(given, Given::All(Decision::Content { value }));
    }

    #[test]
    fn a_schema_that_is_none_can_be_answered_still() {
        for schema in [json!(null), json!({"properties": {}}), json!({"properties": {"x": 3}}), json!([])] {
            let kind = QuestionKind::Elicitation { server: String::new(), message: String::new(), schema };
            let mut form = Form::of(&kind).unwrap();
            assert!(matches!(key(&mut form, KeyCode::Enter), Given::All(Decision::Content { .. })));
        }
    }
}
