//! What a hook's answer means: its exit code, its standard output and its standard error. The shapes are those of Codex
//! and Claude Code.

use serde_json::Value;

use crate::hooks::event::HookEvent;

/// Bytes of a hook's words that go on to the model; of its reasons, to everybody.
const MAX_CONTEXT: usize = 32 * 1024;
const MAX_REASON: usize = 4 * 1024;

/// What a hook said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What is to follow.
    pub verdict: Verdict,
    /// What the model is to be told.
    pub context: Option<String>,
    /// What the call is to be made with instead.
    pub updated_input: Option<Value>,
    /// What the model is to be told instead of the call's outcome.
    pub output: Option<String>,
    /// What people are to be told.
    pub message: Option<String>,
    /// Why it counts as failed.
    pub failure: Option<String>,
}

/// What is to follow, from what changes nothing to what changes most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// What would have followed.
    #[default]
    None,
    /// Nobody need be asked.
    Allow,
    /// A person is asked.
    Ask(String),
    /// It does not happen.
    Block(String),
    /// It does not happen, and the turn ends.
    End(String),
}

impl Answer {
    /// Of a hook that could not answer.
    #[must_use]
    pub fn failed(reason: String) -> Self {
        Self { failure: Some(reason), ..Self::default() }
    }
}

/// Understands an answer. `exit` is the exit code, absent if a signal ended it.
#[must_use]
pub fn understand(event: HookEvent, exit: Option<i32>, output: &str, errors: &str) -> Answer {
    match exit {
        Some(0) => match serde_json::from_str::<Value>(output) {
            Ok(value) if value.is_object() => match unknown_word(&value) {
                Some(word) if value["continue"] != Value::Bool(false) => {
                    Answer::failed(format!("its answer says `{}`, which means nothing", cut(&word, 100)))
                }
                Some(_) | None => of_json(event, &value),
            },
            // Who begins an object means to decide something, and nobody knows what.
            Err(error) if output.trim_start().starts_with('{') => {
                let (line, column) = (error.line(), error.column());
                Answer::failed(format!("its answer is malformed JSON (line {line}, column {column})"))
            }
            Ok(_) | Err(_) => Answer { context: plain(event, output), ..Answer::default() },
        },
        Some(2) => refused(event, errors),
        Some(code) => Answer::failed(format!("it exited with {code}{}", said(errors))),
        None => Answer::failed(format!("a signal ended it{}", said(errors))),
    }
}

fn refused(event: HookEvent, errors: &str) -> Answer {
    let words = match errors.trim() {
        "" => "It gave no reason".to_owned(),
        words => words.to_owned(),
    };
    match event {
        HookEvent::PostToolUse => Answer { output: Some(cut(&words, MAX_CONTEXT)), ..Answer::default() },
        event if can_block(event) => {
            Answer { verdict: Verdict::Block(cut(&words, MAX_REASON)), ..Answer::default() }
        }
        _ => Answer::failed(format!("it exited with 2{}", said(errors))),
    }
}

fn of_json(event: HookEvent, value: &Value) -> Answer {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let specific = value.get("hookSpecificOutput").unwrap_or(&Value::Null);
    let mut answer = Answer {
        context: text(specific.get("additionalContext")).filter(|text| !text.trim().is_empty()),
        message: text(value.get("systemMessage")).map(|message| cut(&message, MAX_REASON)),
        ..Answer::default()
    };
    answer.context = answer.context.map(|context| cut(&context, MAX_CONTEXT));
    let reason = text(value.get("reason"));
    match value.get("decision").and_then(Value::as_str) {
        Some("block" | "deny") if event == HookEvent::PostToolUse => {
            answer.output = Some(cut(&reason.unwrap_or_default(), MAX_CONTEXT));
        }
        Some("block" | "deny") if can_block(event) => answer.verdict = Verdict::Block(reason_of(reason)),
        Some("approve" | "allow") if is_of_call(event) => answer.verdict = Verdict::Allow,
        Some("ask") if event == HookEvent::PreToolUse => answer.verdict = Verdict::Ask(reason_of(reason)),
        Some(_) | None => {}
    }
    if is_of_call(event) {
        let decision = specific.get("decision").unwrap_or(&Value::Null);
        let word = text(specific.get("permissionDecision")).or_else(|| text(decision.get("behavior")));
        let why = text(specific.get("permissionDecisionReason")).or_else(|| text(decision.get("message")));
        match word.as_deref() {
            Some("allow") => answer.verdict = Verdict::Allow,
            Some("ask") if event == HookEvent::PreToolUse => answer.verdict = Verdict::Ask(reason_of(why)),
            Some("deny") => answer.verdict = Verdict::Block(reason_of(why)),
            Some(_) | None => {}
        }
        let updated = specific.get("updatedInput").or_else(|| decision.get("updatedInput"));
        answer.updated_input = updated.filter(|updated| updated.is_object()).cloned();
    }
    if value.get("continue") == Some(&Value::Bool(false)) {
        let why = text(value.get("stopReason")).or_else(|| text(value.get("reason")));
        answer.verdict = Verdict::End(reason_of(why));
    }
    answer
}

/// A decision that is none, so that nobody knows what was meant.
fn unknown_word(value: &Value) -> Option<String> {
    let specific = &value["hookSpecificOutput"];
    let places = [&value["decision"], &specific["permissionDecision"], &specific["decision"]["behavior"]];
    places.into_iter().find_map(|place| match place {
        Value::Null => None,
        Value::String(word) if matches!(word.as_str(), "block" | "deny" | "approve" | "allow" | "ask") => {
            None
        }
        Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    })
}

/// Words that are not JSON are told to the model where it is about to listen.
fn plain(event: HookEvent, output: &str) -> Option<String> {
    let is_heard =
        matches!(event, HookEvent::SessionStart | HookEvent::UserPromptSubmit | HookEvent::SubagentStart);
    (is_heard && !output.trim().is_empty()).then(|| cut(output.trim_end(), MAX_CONTEXT))
}

/// Whether something can be kept from happening.
fn can_block(event: HookEvent) -> bool {
    match event {
        HookEvent::UserPromptSubmit
        | HookEvent::PreToolUse
        | HookEvent::PermissionRequest
        | HookEvent::PreCompact
        | HookEvent::Stop
        | HookEvent::SubagentStop => true,
        HookEvent::SessionStart
        | HookEvent::SubagentStart
        | HookEvent::SessionEnd
        | HookEvent::PostToolUse
        | HookEvent::PostCompact
        | HookEvent::Notification => false,
    }
}

fn is_of_call(event: HookEvent) -> bool {
    matches!(event, HookEvent::PreToolUse | HookEvent::PermissionRequest)
}

fn reason_of(reason: Option<String>) -> String {
    reason
        .filter(|reason| !reason.trim().is_empty())
        .map_or_else(|| "It gave no reason".to_owned(), |reason| cut(&reason, MAX_REASON))
}

fn said(errors: &str) -> String {
    match errors.trim() {
        "" => String::new(),
        words => format!(" and said: {}", cut(words, 500)),
    }
}

/// The beginning of a text, which says that it is one.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let beginning = &text[..text.floor_char_boundary(most)];
    format!("{beginning}\n[… {} bytes left out …]", text.len() - beginning.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use HookEvent::{
        Notification, PermissionRequest, PostToolUse, PreToolUse, SessionStart, Stop, UserPromptSubmit,
    };

    fn verdict(event: HookEvent, output: &str) -> Verdict {
        understand(event, Some(0), output, "").verdict
    }

    #[test]
    fn decisions_of_both_programs_are_understood() {
        let block = |reason: &str| Verdict::Block(reason.to_owned());
        for (event, output, expected) in [
            (PreToolUse, "", Verdict::None),
            (PreToolUse, "{}", Verdict::None),
            (PreToolUse, r#"{"hookSpecificOutput": {"permissionDecision": "allow"}}"#, Verdict::Allow),
            (
                PreToolUse,
                r#"{"hookSpecificOutput": {"permissionDecision": "deny", "permissionDecisionReason": "no"}}"#,
                block("no"),
            ),
            (
                PreToolUse,
                r#"{"hookSpecificOutput": {"permissionDecision": "ask", "permissionDecisionReason": "hm"}}"#,
                Verdict::Ask("hm".to_owned()),
            ),
            (PreToolUse, r#"{"decision": "block", "reason": "no"}"#, block("no")),
            (PreToolUse, r#"{"decision": "approve"}"#, Verdict::Allow),
            (PreToolUse, r#"{"continue": false, "stopReason": "end"}"#, Verdict::End("end".to_owned())),
            (
                PreToolUse,
                r#"{"continue": false, "hookSpecificOutput": {"permissionDecision": "allow"}}"#,
                Verdict::End("It gave no reason".to_owned()),
            ),
            (
                PermissionRequest,
                r#"{"hookSpecificOutput": {"decision": {"behavior": "deny", "message": "no"}}}"#,
                block("no"),
            ),
            (
                PermissionRequest,
                r#"{"hookSpecificOutput": {"decision": {"behavior": "allow"}}}"#,
                Verdict::Allow,
            ),
            (Stop, r#"{"decision": "block", "reason": "tests"}"#, block("tests")),
            (UserPromptSubmit, r#"{"decision": "block"}"#, block("It gave no reason")),
            (Notification, r#"{"decision": "block", "reason": "no"}"#, Verdict::None),
            (Stop, r#"{"decision": "approve"}"#, Verdict::None),
        ] {
            assert_eq!(verdict(event, output), expected, "{output}");
        }
    }

    #[test]
    fn words_become_context_only_where_the_model_is_about_to_listen() {
        let context = |event, output| understand(event, Some(0), output, "").context;
        assert_eq!(context(UserPromptSubmit, "on main\n").as_deref(), Some("on main"));
        assert_eq!(context(SessionStart, "[1]").as_deref(), Some("[1]"));
        assert_eq!(context(PreToolUse, "checked"), None);
        let json = r#"{"hookSpecificOutput": {"additionalContext": "on main"}}"#;
        assert_eq!(context(PostToolUse, json).as_deref(), Some("on main"));
        assert_eq!(context(SessionStart, json).as_deref(), Some("on main"));
        let long = context(UserPromptSubmit, &"x".repeat(MAX_CONTEXT + 5)).expect("context");
        assert!(long.ends_with("[… 5 bytes left out …]"), "{}", &long[MAX_CONTEXT..]);
    }

    #[test]
    fn exit_2_refuses_and_any_other_code_is_a_failure() {
        let block = Verdict::Block("no\nfiles".to_owned());
        for event in [PreToolUse, PermissionRequest, UserPromptSubmit, Stop] {
            assert_eq!(understand(event, Some(2), "{}", "no\nfiles\n").verdict, block);
        }
        let replaced = understand(PostToolUse, Some(2), "", "lint failed");
        assert_eq!((replaced.output.as_deref(), replaced.verdict), (Some("lint failed"), Verdict::None));
        for (event, exit) in [(PreToolUse, Some(1)), (PreToolUse, None), (Notification, Some(2))] {
            let answer = understand(event, exit, r#"{"decision": "block"}"#, "oh");
            assert_eq!(answer.verdict, Verdict::None);
            assert!(answer.failure.is_some_and(|failure| failure.contains("oh")));
        }
    }

    #[test]
    fn a_decision_that_nobody_understands_is_a_failure() {
        for (output, wanted) in [
            (r#"{"decision": "block""#, "malformed JSON (line 1"),
            ("\n {nonsense}", "malformed JSON"),
            (r#"{"decision": "bloc"}"#, "`bloc`"),
            (r#"{"decision": true}"#, "`true`"),
            (r#"{"hookSpecificOutput": {"permissionDecision": "denied"}}"#, "`denied`"),
        ] {
            let answer = understand(PreToolUse, Some(0), output, "");
            assert_eq!(answer.verdict, Verdict::None, "{output}");
            assert!(answer.failure.is_some_and(|failure| failure.contains(wanted)), "{output}");
        }
        let ends = r#"{"continue": false, "decision": "bloc"}"#;
        assert_eq!(verdict(PreToolUse, ends), Verdict::End("It gave no reason".to_owned()));
    }

    #[test]
    fn an_input_is_rewritten_by_an_object_only() {
        let updated = |output| understand(PreToolUse, Some(0), output, "").updated_input;
        let json = r#"{"hookSpecificOutput": {"updatedInput": {"command": "ls"}}}"#;
        assert_eq!(updated(json), Some(serde_json::json!({"command": "ls"})));
        assert_eq!(updated(r#"{"hookSpecificOutput": {"updatedInput": "ls"}}"#), None);
    }
}
