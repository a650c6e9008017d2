//! Answers to what is more than a yes or a no: the blanks of a question, and what was typed into them. Knows nothing
//! of how it is asked or sent.

use protocol::question::{Decision, QuestionKind};
use serde_json::{Map, Value};

/// Something to fill in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blank {
    /// Names it in the answer.
    pub(crate) name: String,
    /// What is asked; not escaped.
    pub(crate) text: String,
    form: Form,
    is_required: bool,
}

/// What fits into a blank.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Text,
    Choice { options: Vec<String>, takes_text: bool, takes_several: bool },
    Integer,
    Number,
    Boolean,
}

/// The blanks of a question, in order. None: it is answered by yes or no.
pub(crate) fn blanks(kind: &QuestionKind) -> Vec<Blank> {
    match kind {
        QuestionKind::UserInput { prompts } => prompts
            .iter()
            .map(|prompt| Blank {
                name: prompt.id.clone(),
                text: prompt.header.clone(),
                form: if prompt.options.is_empty() {
                    Form::Text
                } else {
                    Form::Choice {
                        options: prompt.options.iter().map(|option| option.label.clone()).collect(),
                        takes_text: prompt.takes_text,
                        takes_several: prompt.takes_several,
                    }
                },
                is_required: true,
            })
            .collect(),
        QuestionKind::Elicitation { schema, .. } => fields(schema),
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Tool { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => Vec::new(),
    }
}

/// What was typed, as the blank takes it; `Null` where it may stay empty and does.
///
/// # Errors
/// Why it does not fit, for a person.
pub(crate) fn fill(blank: &Blank, text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return if blank.is_required { Err("It needs an answer".to_owned()) } else { Ok(Value::Null) };
    }
    match &blank.form {
        Form::Text => Ok(Value::from(text)),
        Form::Integer => {
            text.parse::<i64>().map(Value::from).map_err(|_| format!("`{text}` is not a whole number"))
        }
        Form::Number => text
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("`{text}` is not a number")),
        Form::Boolean => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(Value::Bool(true)),
            "n" | "no" | "false" => Ok(Value::Bool(false)),
            _ => Err("It is yes or no".to_owned()),
        },
        Form::Choice { options, takes_text, takes_several } => {
            let choose = |word: &str| {
                let by_number =
                    word.parse::<usize>().ok().and_then(|number| options.get(number.checked_sub(1)?));
                let chosen =
                    by_number.or_else(|| options.iter().find(|option| option.eq_ignore_ascii_case(word)));
                chosen.cloned()
            };
            if let Some(chosen) = choose(text) {
                return Ok(Value::from(vec![chosen]));
            }
            if *takes_several {
                let chosen: Option<Vec<_>> = text.split(',').map(|word| choose(word.trim())).collect();
                if let Some(chosen) = chosen {
                    return Ok(Value::from(chosen));
                }
            }
            if *takes_text {
                return Ok(Value::from(vec![text]));
            }
            Err(format!("Choose a number from 1 to {}", options.len()))
        }
    }
}

/// The whole answer.
pub(crate) fn decision(kind: &QuestionKind, filled: Vec<(String, Value)>) -> Decision {
    match kind {
        QuestionKind::Elicitation { .. } => {
            // A field holds one choice, not a list of them.
            let one = |value: Value| match value {
                Value::Array(several) => several.into_iter().next().unwrap_or_default(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    value
                }
            };
            let filled = filled.into_iter().map(|(name, value)| (name, one(value)));
            let fields: Map<String, Value> = filled.filter(|(_, value)| !value.is_null()).collect();
            Decision::Content { value: Value::Object(fields) }
        }
        QuestionKind::UserInput { .. }
        | QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Tool { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => {
            let texts = |value: Value| match value {
                Value::Array(several) => {
                    several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                Value::String(one) => vec![one],
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
            };
            let answers = filled.into_iter().map(|(name, value)| (name, texts(value))).collect();
            Decision::Reply { answers }
        }
    }
}

/// The fields of an MCP elicitation: an object of strings, numbers, yes or no, and choices (MCP 2025-11-25,
/// `PrimitiveSchemaDefinition`).
fn fields(schema: &Value) -> Vec<Blank> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let field = |(name, of): (&String, &Value)| {
        let word = |key: &str| of.get(key).and_then(Value::as_str);
        let options: Vec<String> = of
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let form = match word("type") {
            Some("integer") => Form::Integer,
            Some("number") => Form::Number,
            Some("boolean") => Form::Boolean,
            Some(_) | None if options.is_empty() => Form::Text,
            Some(_) | None => Form::Choice { options, takes_text: false, takes_several: false },
        };
        Blank {
            name: name.clone(),
            text: word("description").or(word("title")).unwrap_or(name).to_owned(),
            form,
            is_required: required.contains(&name.as_str()),
        }
    };
    properties.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use protocol::question::{Prompt, PromptOption};
    use serde_json::json;

    use super::*;

    fn question(takes_text: bool, takes_several: bool) -> QuestionKind {
        let options = ["red", "green"];
        let options =
            options.map(|label| PromptOption { label: label.to_owned(), description: String::new() });
        let prompt = Prompt {
            id: "colour".to_owned(),
            header: "Colour".to_owned(),
            text: "Which?".to_owned(),
            options: options.into(),
            takes_text,
            takes_several,
        };
        QuestionKind::UserInput { prompts: vec![prompt] }
    }

    #[test]
    fn a_choice_is_made_by_number_or_word() {
        let one = &blanks(&question(false, false))[0];
        for text in ["2", "green", " GREEN\n"] {
            assert_eq!(fill(one, text), Ok(json!(["green"])), "{text}");
        }
        for text in ["", "0", "3", "blue", "1,2"] {
            assert!(fill(one, text).is_err(), "{text}");
        }
        assert_eq!(fill(&blanks(&question(true, false))[0], "blue"), Ok(json!(["blue"])));
        assert_eq!(fill(&blanks(&question(false, true))[0], "2, red"), Ok(json!(["green", "red"])));

        let kind = question(false, false);
        let Decision::Reply { answers } = decision(&kind, vec![("colour".to_owned(), json!(["green"]))])
        else {
            panic!("a reply")
        };
        assert_eq!(answers["colour"], ["green"]);
    }

    #[test]
    fn the_fields_of_an_elicitation_have_their_types() {
        let schema = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "description": "Your name"}, "age": {"type": "integer"},
            "ratio": {"type": "number"}, "sure": {"type": "boolean"}, "size": {"type": "string", "enum": ["S", "L"]}}});
        let kind = QuestionKind::Elicitation { server: "s".to_owned(), message: "m".to_owned(), schema };
        let blanks = blanks(&kind);
        let blank = |name: &str| blanks.iter().find(|blank| blank.name == name).unwrap();
        assert_eq!(blank("name").text, "Your name");
        assert!(fill(blank("name"), "").is_err());
        assert_eq!(fill(blank("age"), ""), Ok(Value::Null));
        assert_eq!(fill(blank("age"), "7"), Ok(json!(7)));
        assert!(fill(blank("age"), "7.5").is_err());
        assert_eq!(fill(blank("ratio"), "7.5"), Ok(json!(7.5)));
        assert!(fill(blank("ratio"), "NaN").is_err());
        assert_eq!(fill(blank("sure"), "no"), Ok(json!(false)));
        assert_eq!(fill(blank("size"), "l"), Ok(json!(["L"])));
        let filled = vec![
            ("name".to_owned(), json!("Ada")),
            ("age".to_owned(), Value::Null),
            ("size".to_owned(), json!(["L"])),
        ];
        assert_eq!(decision(&kind, filled), Decision::Content { value: json!({"name": "Ada", "size": "L"}) });
    }
}
