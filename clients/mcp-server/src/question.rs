//! Questions as forms of MCP's elicitation, and what is filled in as decisions.

use protocol::question::{Decision, GrantScope, Prompt, QuestionKind};
use rmcp::model::{ElicitRequestParams, ElicitResult, ElicitationAction};
use serde_json::{Map, Value, json};
use view::replies::replies;
use view::words;

use crate::report;

/// The field of a permission.
const DECISION: &str = "decision";
const ONCE: &str = "Allow once";
const SESSION: &str = "Allow for this session";
const ALWAYS: &str = "Always allow";
const NO: &str = "Reject";

/// The form of a question; none where it can't be asked in one.
pub(crate) fn form(kind: &QuestionKind, reason: &str) -> Option<ElicitRequestParams> {
    let schema = match kind {
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Tool { .. } => {
            let mut choices = vec![ONCE, SESSION];
            if words::offers_always(kind) {
                choices.push(ALWAYS);
            }
            choices.push(NO);
            let field = json!({"type": "string", "title": "Decision", "enum": choices});
            json!({"type": "object", "properties": {DECISION: field}, "required": [DECISION]})
        }
        QuestionKind::UserInput { prompts } => of_prompts(prompts),
        QuestionKind::Elicitation { schema, .. } => schema.clone(),
        QuestionKind::ClientTool { .. } | QuestionKind::Unknown(_) => return None,
    };
    let message = format!("{}\n\nWhy it is asked: {}", report::asked(kind), view::escape::prose(reason));
    let requested_schema = serde_json::from_value(schema).ok()?;
    Some(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

/// What was decided; none if nothing was.
pub(crate) fn decision(kind: &QuestionKind, answer: &ElicitResult) -> Option<Decision> {
    let content = match answer.action {
        ElicitationAction::Accept => answer.content.as_ref().and_then(Value::as_object),
        ElicitationAction::Decline | ElicitationAction::Cancel => None,
        // A way that is not known is no yes.
        _ => None,
    };
    let Some(content) = content else { return Some(Decision::Deny { message: None }) };
    match kind {
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Tool { .. } => {
            let scope = match content.get(DECISION).and_then(Value::as_str) {
                Some(ONCE) => GrantScope::Once,
                Some(SESSION) => GrantScope::Session,
                Some(ALWAYS) if words::offers_always(kind) => GrantScope::Always,
                Some(_) | None => return Some(Decision::Deny { message: None }),
            };
            Some(Decision::Allow { scope })
        }
        QuestionKind::UserInput { prompts } => Some(Decision::Reply { answers: replies(prompts, content) }),
        QuestionKind::Elicitation { .. } => Some(Decision::Content { value: Value::Object(content.clone()) }),
        QuestionKind::ClientTool { .. } | QuestionKind::Unknown(_) => None,
    }
}

fn of_prompts(prompts: &[Prompt]) -> Value {
    let mut properties = Map::new();
    for prompt in prompts {
        let labels: Vec<&str> = prompt.options.iter().map(|option| option.label.as_str()).collect();
        let mut field = json!({"title": prompt.header, "description": prompt.text, "type": "string"});
        if prompt.takes_several && !labels.is_empty() {
            field["type"] = json!("array");
            field["items"] = json!({"type": "string", "enum": labels});
        } else if !prompt.takes_text && !labels.is_empty() {
            field["enum"] = json!(labels);
        } else if !labels.is_empty() {
            field["description"] = json!(format!("{} ({})", prompt.text, labels.join(", ")));
        }
        properties.insert(prompt.id.clone(), field);
    }
    let required: Vec<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    use protocol::question::PromptOption;

    use super::*;

    fn network() -> QuestionKind {
        let protocol = protocol::profile::NetworkProtocol::Https;
        QuestionKind::Network { protocol, host: "example.org".to_owned(), port: 443 }
    }

    fn filled(content: &Value) -> ElicitResult {
        serde_json::from_value(json!({"action": "accept", "content": content})).unwrap()
    }

    #[test]
    fn only_what_was_offered_is_a_yes() {
        let no = Some(Decision::Deny { message: None });
        for (choice, scope) in [(ONCE, Some(GrantScope::Once)), (SESSION, Some(GrantScope::Session))] {
            let expected = scope.map(|scope| Decision::Allow { scope });
            assert_eq!(decision(&network(), &filled(&json!({DECISION: choice}))), expected);
        }
        for content in [json!({DECISION: ALWAYS}), json!({DECISION: "yes"}), json!({}), json!([])] {
            assert_eq!(decision(&network(), &filled(&content)), no);
        }
        let declined = serde_json::from_value(json!({"action": "decline"})).unwrap();
        assert_eq!(decision(&network(), &declined), no);
    }

    #[test]
    fn what_the_agent_wants_to_know_is_a_form() {
        let option = |label: &str| PromptOption { label: label.to_owned(), description: String::new() };
        let prompt = |id: &str, takes_several| Prompt {
            id: id.to_owned(),
            header: id.to_owned(),
            text: "Which?".to_owned(),
            options: vec![option("a"), option("b")],
            takes_text: false,
            takes_several,
        };
        let kind = QuestionKind::UserInput { prompts: vec![prompt("one", false), prompt("many", true)] };
        let form = serde_json::to_value(form(&kind, "It asks").unwrap()).unwrap();
        assert_eq!(form["requestedSchema"]["properties"]["one"]["enum"], json!(["a", "b"]));
        let answer = filled(&json!({"one": "a", "many": ["a", "b"]}));
        let Some(Decision::Reply { answers }) = decision(&kind, &answer) else { panic!("no reply") };
        assert_eq!((answers["one"].len(), answers["many"].len()), (1, 2));
    }
}
