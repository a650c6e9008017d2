//! Understands the JSON in which hooks stand: `{"hooks": {"<Event>": [{"matcher", "hooks": [{"type", "command",
//! "timeout"}]}]}}`, as Codex and Claude Code have it. What is not understood is told and left out.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::hooks::event::HookEvent;
use crate::hooks::hook::{Hook, Matcher, OnError};

/// More hooks of one file are not used.
const MAX_HOOKS: usize = 200;
/// How long a hook may take that does not say so, and the most that it may say, in seconds.
const TIMEOUT: f64 = 60.0;
const MAX_TIMEOUT: f64 = 600.0;

/// The hooks of a file, and what is wrong in it, for a person.
#[must_use]
pub fn read(text: &str) -> (Vec<Hook>, Vec<String>) {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => value.get("hooks").map(of_value).unwrap_or_default(),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            (Vec::new(), vec![format!("It is not JSON: {place}")])
        }
    }
}

/// The hooks in what stands under `hooks`, and what is wrong in it.
#[must_use]
pub fn of_value(hooks: &Value) -> (Vec<Hook>, Vec<String>) {
    let mut found = Found::default();
    match hooks {
        Value::Object(events) => found.events(events),
        _ => found.problems.push("`hooks` must be an object".to_owned()),
    }
    (found.hooks, found.problems)
}

#[derive(Default)]
struct Found {
    hooks: Vec<Hook>,
    problems: Vec<String>,
}

impl Found {
    fn events(&mut self, events: &Map<String, Value>) {
        for (name, groups) in events {
            match (HookEvent::named(name), groups) {
                (Ok(event), Value::Array(groups)) => {
                    for group in groups {
                        self.group(event, group);
                    }
                }
                (Ok(_), _) => self.problems.push(format!("`{name}` must be a list")),
                (Err(problem), _) => self.problems.push(problem),
            }
        }
    }

    fn group(&mut self, event: HookEvent, group: &Value) {
        let name = event.as_str();
        let matcher = match group.get("matcher") {
            None | Some(Value::Null) => Matcher::new(""),
            Some(Value::String(text)) => Matcher::new(text),
            Some(_) => Err(format!("The `matcher` of a `{name}` hook must be text")),
        };
        match (matcher, group.get("hooks")) {
            (Err(problem), _) => self.problems.push(problem),
            (Ok(matcher), Some(Value::Array(handlers))) => {
                for handler in handlers {
                    match hook(event, &matcher, handler) {
                        Ok(_) if self.hooks.len() >= MAX_HOOKS => {
                            self.problems.push(format!("It has more than {MAX_HOOKS} hooks"));
                            return;
                        }
                        Ok(hook) => self.hooks.push(hook),
                        Err(problem) => self.problems.push(problem),
                    }
                }
            }
            (Ok(_), _) => self.problems.push(format!("An entry of `{name}` must have a list `hooks`")),
        }
    }
}

fn hook(event: HookEvent, matcher: &Matcher, handler: &Value) -> Result<Hook, String> {
    let name = event.as_str();
    match handler.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "command" => {}
        Some(kind) => return Err(format!("A `{name}` hook of type {kind} is not known; only `command` is")),
    }
    let command = match handler.get("command") {
        Some(Value::String(command)) if !command.trim().is_empty() && !command.contains('\0') => command,
        _ => return Err(format!("A `{name}` hook has no `command`")),
    };
    let seconds = match handler.get("timeout").or_else(|| handler.get("timeoutSec")) {
        None | Some(Value::Null) => TIMEOUT,
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds > 0.0 => seconds.min(MAX_TIMEOUT),
            _ => return Err(format!("The `timeout` of a `{name}` hook must be a number of seconds")),
        },
    };
    let on_error = match handler.get("onError").or_else(|| handler.get("on_error")) {
        None | Some(Value::Null) => OnError::Continue,
        Some(Value::String(word)) if word == "continue" => OnError::Continue,
        Some(Value::String(word)) if word == "block" => OnError::Block,
        Some(_) => return Err(format!("`onError` of a `{name}` hook must be `continue` or `block`")),
    };
    Ok(Hook {
        event,
        matcher: matcher.clone(),
        command: command.clone(),
        timeout: Duration::from_secs_f64(seconds),
        on_error,
        is_async: handler.get("async").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_other_programs_is_understood() {
        let (hooks, problems) = read(
            r#"{"permissions": {"allow": []}, "hooks": {
              "PreToolUse": [
                {"matcher": "Bash", "hooks": [
                  {"type": "command", "command": "check", "timeout": 5, "statusMessage": "Checking"},
                  {"type": "command", "command": "log", "async": true, "onError": "block"}]},
                {"hooks": [{"command": "all"}]}],
              "Stop": [{"hooks": [{"type": "command", "command": "done", "timeout": 0.5}]}]}}"#,
        );
        assert_eq!(problems, [""; 0]);
        let told: Vec<_> = hooks
            .iter()
            .map(|hook| {
                let Hook { event, command, timeout, on_error, is_async, .. } = hook;
                (event.as_str(), command.as_str(), timeout.as_millis(), *on_error, *is_async)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("PreToolUse", "check", 5_000, OnError::Continue, false),
                ("PreToolUse", "log", 60_000, OnError::Block, true),
                ("PreToolUse", "all", 60_000, OnError::Continue, false),
                ("Stop", "done", 500, OnError::Continue, false),
            ]
        );
        assert!(hooks[0].matcher.fits(&["Bash"]) && !hooks[0].matcher.fits(&["Edit"]));
        assert_eq!(read("{\"model\": \"opus\"}"), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_not_understood_is_told_and_left_out() {
        for (text, problem) in [
            ("{", "It is not JSON: line 1"),
            (r#"{"hooks": []}"#, "`hooks` must be an object"),
            (r#"{"hooks": {"PreToolUs": []}}"#, "There is no event `PreToolUs`"),
            (r#"{"hooks": {"Interrupt": []}}"#, "Hooks for `Interrupt` are not run by this version"),
            (r#"{"hooks": {"Stop": {}}}"#, "`Stop` must be a list"),
            (r#"{"hooks": {"Stop": [{}]}}"#, "must have a list `hooks`"),
            (r#"{"hooks": {"Stop": [{"matcher": "(", "hooks": []}]}}"#, "is no regular expression"),
            (r#"{"hooks": {"Stop": [{"matcher": 1, "hooks": []}]}}"#, "must be text"),
            (r#"{"hooks": {"Stop": [{"hooks": [{"type": "prompt"}]}]}}"#, "is not known"),
            (r#"{"hooks": {"Stop": [{"hooks": [{"command": " "}]}]}}"#, "has no `command`"),
            (r#"{"hooks": {"Stop": [{"hooks": [{"command": "a", "timeout": -1}]}]}}"#, "number of seconds"),
            (r#"{"hooks": {"Stop": [{"hooks": [{"command": "a", "onError": "stop"}]}]}}"#, "`block`"),
        ] {
            let (hooks, problems) = read(text);
            assert!(hooks.is_empty(), "{text}");
            assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:?} of {text}");
        }
    }
}
