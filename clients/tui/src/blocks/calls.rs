//! What a call of one of our tools asks for, in words instead of JSON. What can't be read is left to be shown as it is.
//! Knows nothing of how it is drawn; nothing here is harmless yet.

use std::path::Path;

use protocol::item::OtherToolCall;
use serde_json::{Map, Value};

/// A call with more questions, or a question with more options, is not one of our tool.
const MOST: usize = 20;

/// What a person was asked, and said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) header: String,
    pub(super) text: String,
    pub(super) options: Vec<Choice>,
    pub(super) answers: Vec<String>,
}

/// What could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) label: String,
    pub(super) description: String,
}

/// The questions of a call that asks a person.
pub(super) fn questions(call: &OtherToolCall) -> Option<Vec<Asked>> {
    if call.call.name != "request_user_input" {
        return None;
    }
    let arguments = arguments(call)?;
    let answers = answers(call);
    let all = arguments.get("questions")?.as_array().filter(|all| (1..=MOST).contains(&all.len()))?;
    let question = |value: &Value| {
        let text = |key| Some(value.get(key)?.as_str()?.to_owned());
        let options = value.get("options").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let given = answers.as_ref().and_then(|answers| answers.get(value.get("id")?.as_str()?)?.as_array());
        let given = given.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let options: Option<_> = options.iter().map(choice).collect();
        Some(Asked {
            header: text("header")?,
            text: text("question")?,
            options: options.filter(|options: &Vec<_>| options.len() <= MOST)?,
            answers: given.collect(),
        })
    };
    all.iter().map(question).collect()
}

fn choice(value: &Value) -> Option<Choice> {
    let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Choice { label: text("label")?, description: text("description").unwrap_or_default() })
}

/// What was said, by the name of the question.
fn answers(call: &OtherToolCall) -> Option<Map<String, Value>> {
    let told: Value = match &call.structured {
        Some(structured) => structured.clone(),
        None => serde_json::from_str(call.output.as_deref()?).ok()?,
    };
    Some(told.get("answers")?.as_object()?.clone())
}

/// What a call that only looks at something looks at, with paths as seen from a folder.
pub(super) fn looks_at(call: &OtherToolCall, cwd: &Path) -> Option<String> {
    if !matches!(&*call.call.name, "read_file" | "grep" | "find_files" | "list_dir") {
        return None;
    }
    let arguments = arguments(call)?;
    let text = |key| arguments.get(key).and_then(Value::as_str);
    let number = |key| arguments.get(key).and_then(Value::as_u64);
    let path = text("path").filter(|path| !path.is_empty()).map(|path| relative(path, cwd));
    let place = path.as_ref().map(|path| format!("  in {path}")).unwrap_or_default();
    Some(match &*call.call.name {
        "read_file" => {
            let lines = match (number("offset").filter(|first| *first > 1), number("limit")) {
                (Some(first), Some(count)) => {
                    format!("  lines {first} to {}", first.saturating_add(count.max(1)) - 1)
                }
                (Some(first), None) => format!("  from line {first}"),
                (None, Some(count)) => format!("  to line {}", count.max(1)),
                (None, None) => String::new(),
            };
            format!("{}{lines}", path?)
        }
        "grep" => {
            let glob = text("glob").map(|glob| format!("  of {glob}")).unwrap_or_default();
            format!("{}{place}{glob}", text("pattern")?)
        }
        "find_files" => format!("{}{place}", text("query")?),
        _ => path.unwrap_or_else(|| ".".to_owned()),
    })
}

fn relative(path: &str, cwd: &Path) -> String {
    match Path::new(path).strip_prefix(cwd) {
        Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
        Ok(rest) => rest.to_string_lossy().into_owned(),
        Err(_) => path.to_owned(),
    }
}

/// The arguments of a call of our own tool.
fn arguments(call: &OtherToolCall) -> Option<Map<String, Value>> {
    if call.server.is_some() {
        return None;
    }
    serde_json::from_str(call.call.input.text()).ok()
}

#[cfg(test)]
mod tests {
    use protocol::tool::{CallInput, ToolCall};
    use serde_json::json;

    use super::*;

    fn call(name: &str, arguments: &Value) -> OtherToolCall {
        let input = CallInput::Json(arguments.to_string());
        OtherToolCall::new(ToolCall { call_id: "1".to_owned(), name: name.to_owned(), input })
    }

    #[test]
    fn what_is_looked_at_is_a_path_or_a_pattern() {
        for (name, arguments, words) in [
            ("read_file", json!({"path": "/repo/src/a.rs"}), Some("src/a.rs")),
            ("read_file", json!({"path": "a", "offset": 10, "limit": 5}), Some("a  lines 10 to 14")),
            (
                "read_file",
                json!({"path": "a", "offset": u64::MAX, "limit": 0}),
                Some(&*format!("a  lines {0} to {1}", u64::MAX, u64::MAX - 1)),
            ),
            ("read_file", json!({"path": "/etc/x", "offset": 2}), Some("/etc/x  from line 2")),
            (
                "grep",
                json!({"pattern": "fn \\w+", "path": "src", "glob": "*.rs"}),
                Some("fn \\w+  in src  of *.rs"),
            ),
            ("find_files", json!({"query": "*.md", "all": true}), Some("*.md")),
            ("list_dir", json!({"depth": 1}), Some(".")),
            ("list_dir", json!({"path": "/repo"}), Some(".")),
            ("read_file", json!({"offset": 2}), None),
            ("grep", json!([]), None),
            ("look", json!({"path": "a"}), None),
        ] {
            assert_eq!(
                looks_at(&call(name, &arguments), Path::new("/repo")).as_deref(),
                words,
                "{name} {arguments}"
            );
        }
        let foreign = OtherToolCall { server: Some("s".to_owned()), ..call("list_dir", &json!({})) };
        assert_eq!(looks_at(&foreign, Path::new("/repo")), None);
    }

    #[test]
    fn each_question_has_its_answers() {
        let arguments = json!({"questions": [
            {"id": "z", "header": "Store", "question": "Which one?", "multiple": true,
             "options": [{"label": "Files"}, {"label": "SQL", "description": "one file"}]},
            {"id": "a", "header": "Name", "question": "What name?"},
        ]});
        let mut asked = call("request_user_input", &arguments);
        let told = |asked: &OtherToolCall| -> Vec<_> {
            questions(asked).unwrap().into_iter().map(|question| question.answers).collect()
        };
        assert_eq!(told(&asked), [Vec::<String>::new(), Vec::new()]);
        let answers = json!({"answers": {"z": ["Files", "SQL"], "a": ["Skein"], "other": ["x"]}});
        asked.output = Some(answers.to_string());
        assert_eq!(told(&asked), [vec!["Files", "SQL"], vec!["Skein"]]);
        asked.structured = Some(json!({"answers": {"a": ["Yarn", 7]}}));
        assert_eq!(told(&asked), [vec![], vec!["Yarn"]]);
        let sql = Choice { label: "SQL".to_owned(), description: "one file".to_owned() };
        assert_eq!(questions(&asked).unwrap()[0].options[1], sql);
    }

    #[test]
    fn what_is_no_question_is_left_alone() {
        for arguments in [
            json!({}),
            json!({"questions": []}),
            json!({"questions": [{"id": "a", "header": "x"}]}),
            json!({"questions": [{"id": "a", "header": "x", "question": "y", "options": [7]}]}),
            json!({"questions": vec![json!({"id": "a", "header": "x", "question": "y"}); 21]}),
        ] {
            assert_eq!(questions(&call("request_user_input", &arguments)), None, "{arguments}");
        }
    }
}
