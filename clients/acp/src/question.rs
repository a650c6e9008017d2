//! Questions as an editor asks them: as a permission with options, or as a form; and its answers as decisions.

use protocol::mcp::McpPromptQuestion;
use protocol::question::{Decision, GrantScope, Prompt, Question, QuestionKind};
use serde_json::{Map, Value, json};
use view::replies::replies;
use view::{escape, words};

use crate::rpc::RpcError;
use crate::schema::request::ClientCapabilities;
use crate::schema::update::{ToolCall, ToolContent, ToolStatus};
use crate::story;
use crate::tool;

/// Letters of a text that is asked about.
const MAX_TEXT: usize = 4000;

/// How a question is put to the editor.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: &'static str,
    /// Its parameters.
    pub(crate) params: Value,
}

/// The request that puts a question; `None` if this editor has no way to answer it.
pub(crate) fn asked(
    session: &str,
    question: &Question,
    call: Option<ToolCall>,
    capabilities: Option<&ClientCapabilities>,
) -> Option<Asked> {
    let has_forms = capabilities.is_some_and(|capabilities| capabilities.has_forms);
    let form = |message: &str, schema: &Value| has_forms.then(|| form(session, message, schema));
    match &question.kind {
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Tool { .. } => Some(permission(session, question, call)),
        QuestionKind::UserInput { prompts } => {
            let message = prompts.iter().map(|prompt| prompt.text.as_str()).collect::<Vec<_>>().join("\n");
            form(&message, &form_of(prompts))
        }
        QuestionKind::Elicitation { server, message, schema } => {
            form(&format!("{server} asks: {message}"), schema)
        }
        QuestionKind::ClientTool { .. } | QuestionKind::Unknown(_) => None,
    }
}

/// The form of what an MCP server wants to know before it says its prompt. Only for an editor that shows forms.
pub(crate) fn of_prompt(session: &str, question: &McpPromptQuestion) -> Asked {
    let McpPromptQuestion { server, message, schema, .. } = question;
    form(session, &format!("{server} asks: {message}"), schema)
}

/// What a form was filled with.
pub(crate) fn of_form(answer: &Result<Value, RpcError>) -> Decision {
    match answer.as_ref().ok().and_then(accepted) {
        Some(content) => Decision::Content { value: Value::Object(content.clone()) },
        None => Decision::Deny { message: None },
    }
}

fn form(session: &str, message: &str, schema: &Value) -> Asked {
    let params = json!({
        "sessionId": session,
        "mode": "form",
        "message": escape::prose(message),
        "requestedSchema": schema,
    });
    Asked { method: "elicitation/create", params }
}

/// What the editor's answer decides; `None` if it decides nothing.
pub(crate) fn decision(kind: &QuestionKind, answer: Result<Value, RpcError>) -> Option<Decision> {
    // An editor that can't ask has said neither yes nor no; somebody else may answer.
    let answer = answer.ok()?;
    let no = || Some(Decision::Deny { message: None });
    match kind {
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Tool { .. } => {
            let outcome = &answer["outcome"];
            if outcome["outcome"] != "selected" {
                return no();
            }
            let scope = match outcome["optionId"].as_str()? {
                "once" => GrantScope::Once,
                "turn" => GrantScope::Turn,
                "session" => GrantScope::Session,
                "always" if words::offers_always(kind) => GrantScope::Always,
                // What was not offered is no yes.
                _ => return no(),
            };
            Some(Decision::Allow { scope })
        }
        QuestionKind::UserInput { prompts } => match accepted(&answer) {
            Some(content) => Some(Decision::Reply { answers: replies(prompts, content) }),
            None => no(),
        },
        QuestionKind::Elicitation { .. } => Some(of_form(&Ok(answer))),
        QuestionKind::ClientTool { .. } | QuestionKind::Unknown(_) => None,
    }
}

fn permission(session: &str, question: &Question, call: Option<ToolCall>) -> Asked {
    let is_known = call.is_some();
    let mut call = story::asked(call, question.item_id, details(&question.kind, is_known));
    if let Some(content) = &mut call.content {
        content.push(ToolContent::text(format!("Why it is asked: {}", escape::prose(&question.reason))));
    }
    call.status = Some(ToolStatus::Pending);
    if call.title.is_none() {
        call.title = Some(words::asked(&question.kind).to_owned());
    }
    let option = |id, name: String, kind| json!({"optionId": id, "name": name, "kind": kind});
    let mut options = vec![
        option("once", "Allow".to_owned(), "allow_once"),
        option("session", "Allow for this session".to_owned(), "allow_always"),
    ];
    if let QuestionKind::Command { proposed_rule: Some(rule), .. } = &question.kind {
        let name = format!("Always allow, by the rule {}", escape::short_line(rule, 120));
        options.push(option("always", name, "allow_always"));
    }
    options.push(option("no", "Reject".to_owned(), "reject_once"));
    Asked {
        method: "session/request_permission",
        params: json!({"sessionId": session, "toolCall": call, "options": options}),
    }
}

/// What a person must see before they say yes.
fn details(kind: &QuestionKind, is_known: bool) -> Vec<ToolContent> {
    let shown = |text: &str| escape::short_line(text, MAX_TEXT);
    let mut lines = vec![words::asked(kind).to_owned()];
    let mut more = Vec::new();
    match kind {
        QuestionKind::Command { command, cwd, justification, refusals, .. } => {
            more.push(tool::fenced(&shown(command)));
            lines.push(format!("In `{}`", shown(&cwd.to_string_lossy())));
            let refused = refusals
                .iter()
                .map(|refusal| format!("The sandbox stopped it at `{}`", shown(&refusal.target)));
            lines.extend(refused);
            lines.extend(justification.iter().map(|why| format!("It says: {}", shown(why))));
        }
        QuestionKind::FileChange { patch } => {
            if !is_known {
                more.push(tool::fenced(&escape::shortened(patch, MAX_TEXT)));
            }
        }
        QuestionKind::Network { host, port, .. } => lines.push(format!("To `{}`, port {port}", shown(host))),
        QuestionKind::Permissions { paths, hosts, justification } => {
            let path = |rule: &protocol::profile::PathRule| {
                format!("`{}`: {:?}", shown(&rule.path.to_string_lossy()), rule.access).to_lowercase()
            };
            lines.extend(paths.iter().map(path));
            lines.extend(hosts.iter().map(|host| format!("`{}`: to connect", shown(host))));
            lines.extend(justification.iter().map(|why| format!("It says: {}", shown(why))));
        }
        QuestionKind::Tool { server, tool, arguments, .. } => {
            let of = server.as_ref().map(|server| format!(" of `{}`", shown(server))).unwrap_or_default();
            lines.push(format!("`{}`{of}", shown(tool)));
            more.push(tool::fenced(&escape::shortened(arguments, MAX_TEXT)));
        }
        QuestionKind::Sampling { server, prompt, max_tokens } => {
            lines.push(format!("`{}`, at most {max_tokens} tokens", shown(server)));
            more.push(tool::fenced(&escape::shortened(prompt, MAX_TEXT)));
        }
        QuestionKind::UserInput { .. }
        | QuestionKind::Elicitation { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => {}
    }
    more.push(ToolContent::text(lines.join("\n\n")));
    more
}

/// The form of what the agent wants to know: one field for each question.
fn form_of(prompts: &[Prompt]) -> Value {
    let mut properties = Map::new();
    for prompt in prompts {
        let choices: Vec<Value> = prompt
            .options
            .iter()
            .map(|option| {
                let title = match option.description.as_str() {
                    "" => option.label.clone(),
                    description => format!("{}: {description}", option.label),
                };
                json!({"const": option.label, "title": escape::line(&title)})
            })
            .collect();
        let mut field =
            json!({"title": escape::line(&prompt.header), "description": escape::prose(&prompt.text)});
        if prompt.options.is_empty() || (prompt.takes_text && !prompt.takes_several) {
            field["type"] = json!("string");
            if !prompt.options.is_empty() {
                let labels: Vec<&str> = prompt.options.iter().map(|option| option.label.as_str()).collect();
                let text = format!("{} ({}, or in your own words)", prompt.text, labels.join(", "));
                field["description"] = json!(escape::prose(&text));
            }
        } else if prompt.takes_several {
            field["type"] = json!("array");
            field["items"] = json!({"anyOf": choices});
        } else {
            field["type"] = json!("string");
            field["oneOf"] = json!(choices);
        }
        properties.insert(prompt.id.clone(), field);
    }
    let required: Vec<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn accepted(answer: &Value) -> Option<&Map<String, Value>> {
    answer["content"].as_object().filter(|_| answer["action"] == "accept")
}

#[cfg(test)]
mod tests {
    use protocol::ids::{ItemId, QuestionId, Timestamp, TurnId};
    use protocol::question::PromptOption;

    use super::*;

    fn command(proposed_rule: Option<&str>) -> QuestionKind {
        QuestionKind::Command {
            command: "touch x".to_owned(),
            argv: vec!["touch".to_owned(), "x".to_owned()],
            cwd: "/repo".into(),
            is_escalated: true,
            justification: Some("It must.".to_owned()),
            refusals: Vec::new(),
            proposed_rule: proposed_rule.map(str::to_owned),
        }
    }

    fn question(kind: QuestionKind) -> Question {
        Question {
            id: QuestionId::generate(),
            turn_id: TurnId::generate(),
            item_id: ItemId::generate(),
            asked_at: Timestamp(0),
            kind,
            reason: "It leaves the sandbox".to_owned(),
        }
    }

    fn prompts() -> Vec<Prompt> {
        let option = |label: &str| PromptOption { label: label.to_owned(), description: String::new() };
        let prompt = |id: &str, takes_several| Prompt {
            id: id.to_owned(),
            header: id.to_owned(),
            text: format!("Which {id}?"),
            options: vec![option("a"), option("b")],
            takes_text: false,
            takes_several,
        };
        vec![prompt("one", false), prompt("many", true)]
    }

    fn chosen(option: &str) -> Result<Value, RpcError> {
        Ok(json!({"outcome": {"outcome": "selected", "optionId": option}}))
    }

    #[test]
    fn always_is_offered_and_taken_only_where_a_rule_stands_ready() {
        let ids = |kind| {
            let params = asked("s", &question(kind), None, None).unwrap().params;
            let options = params["options"].as_array().unwrap().clone();
            options.iter().map(|option| option["optionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(command(None)), ["once", "session", "no"]);
        assert_eq!(ids(command(Some("prefix_rule(…)"))), ["once", "session", "always", "no"]);
        let no = Some(Decision::Deny { message: None });
        assert_eq!(decision(&command(None), chosen("always")), no);
        assert_eq!(decision(&command(None), chosen("nonsense")), no);
        let always = Some(Decision::Allow { scope: GrantScope::Always });
        assert_eq!(decision(&command(Some("r")), chosen("always")), always);
        assert_eq!(decision(&command(None), Ok(json!({"outcome": {"outcome": "cancelled"}}))), no);
    }

    #[test]
    fn an_editor_that_fails_to_ask_decides_nothing() {
        assert_eq!(decision(&command(None), Err(RpcError::internal("x"))), None);
    }

    #[test]
    fn a_form_has_a_field_for_each_question_and_its_answers_are_replies() {
        let kind = QuestionKind::UserInput { prompts: prompts() };
        assert!(asked("s", &question(kind.clone()), None, None).is_none(), "no forms, no way to ask");
        let capabilities = ClientCapabilities { has_forms: true, ..ClientCapabilities::default() };
        let params = asked("s", &question(kind.clone()), None, Some(&capabilities)).unwrap().params;
        let fields = &params["requestedSchema"]["properties"];
        assert_eq!(fields["one"]["oneOf"][1]["const"], "b");
        assert_eq!(fields["many"]["items"]["anyOf"][0]["const"], "a");
        let answer = json!({"action": "accept", "content": {"one": "b", "many": ["a", "b"], "other": 1}});
        let Some(Decision::Reply { answers }) = decision(&kind, Ok(answer)) else { panic!("no reply") };
        assert_eq!(answers["one"], ["b"]);
        assert_eq!(answers["many"], ["a", "b"]);
        assert_eq!(answers.len(), 2);
        let declined = decision(&kind, Ok(json!({"action": "decline"})));
        assert_eq!(declined, Some(Decision::Deny { message: None }));
    }
}
