//! Prompts of MCP servers as commands: `/server:prompt`, with what it is to be filled with. Its text comes into the
//! composer, where a person sees it before it is said. Knows nothing of how it is asked for.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::ids::{ItemId, QuestionId, Timestamp, TurnId};
use protocol::mcp::{
    McpAnswerPromptParams, McpPrompt, McpPromptId, McpPromptParams, McpPromptQuestion, McpPromptResult,
};
use protocol::question::{Decision, Question, QuestionKind};

use crate::app::App;
use crate::command::Entry;
use crate::link::Call;

/// A prompt as people are told of it.
pub(crate) fn entry(prompt: &McpPrompt) -> Entry {
    let word = |argument: &protocol::mcp::McpPromptArgument| {
        let name = argument.name.to_uppercase();
        if argument.is_required { name } else { format!("[{name}]") }
    };
    let words: Vec<String> = prompt.arguments.iter().map(word).collect();
    let meaning = prompt.description.clone().unwrap_or_else(|| format!("a prompt of `{}`", prompt.server));
    Entry { name: prompt.command.clone().into(), argument: words.join(" ").into(), meaning: meaning.into() }
}

/// The prompt that an input asks for, if it does.
///
/// # Errors
/// What is missing, for a person.
pub(crate) fn asked(
    text: &str,
    prompts: &[McpPrompt],
    cwd: &Path,
) -> Option<Result<McpPromptParams, String>> {
    let line = text.trim().strip_prefix('/')?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let prompt = prompts.iter().find(|prompt| prompt.command == name)?;
    Some(filled(prompt, &words(rest)).map(|arguments| McpPromptParams {
        cwd: cwd.to_owned(),
        server: prompt.server.clone(),
        name: prompt.name.clone(),
        arguments,
        session_id: None,
        takes_questions: true,
    }))
}

/// A prompt that its server says only once it knows something.
#[derive(Debug)]
pub(crate) struct AskedPrompt {
    id: McpPromptId,
    /// As a dialog shows it. It is none of the session.
    pub(crate) question: Question,
    /// What was written to ask for the prompt.
    written: String,
}

impl App {
    /// A prompt was read: what it says is seen before it is said, and what its server wants to know is asked.
    pub(crate) fn prompt_read(&mut self, read: McpPromptResult, written: String, now: Timestamp) {
        let Some(McpPromptQuestion { id, server, message, schema }) = read.question else {
            return self.composer.insert(&read.text);
        };
        let question = Question {
            id: QuestionId::generate(),
            turn_id: TurnId::generate(),
            item_id: ItemId::generate(),
            asked_at: now,
            reason: format!("The MCP server `{server}` wants to know something before it says its prompt"),
            kind: QuestionKind::Elicitation { server, message, schema },
        };
        self.asked_prompt = Some(AskedPrompt { id, question, written });
        self.show_question(now);
    }

    /// Brings a decision to whoever asked.
    pub(crate) fn answer(&mut self, question: QuestionId, decision: Decision, now: Timestamp) -> Call {
        match self.asked_prompt.take_if(|asked| asked.question.id == question) {
            Some(AskedPrompt { id, written, .. }) => {
                self.show_question(now);
                Call::AnswerPrompt(Box::new(McpAnswerPromptParams { id, decision }), written)
            }
            None => Call::Answer(question, decision),
        }
    }
}

/// What its arguments are: by name, or in their order. What is too much belongs to the last one.
fn filled(prompt: &McpPrompt, words: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut arguments = BTreeMap::<String, String>::new();
    let mut last = None;
    for word in words {
        let named = word
            .split_once('=')
            .filter(|(name, _)| prompt.arguments.iter().any(|argument| argument.name == *name));
        if let Some((name, value)) = named {
            arguments.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let next = prompt.arguments.iter().find(|argument| !arguments.contains_key(&argument.name));
        match (next, &last) {
            (Some(argument), _) => {
                arguments.insert(argument.name.clone(), word.clone());
                last = Some(argument.name.clone());
            }
            (None, Some(last)) => {
                if let Some(value) = arguments.get_mut(last) {
                    value.push(' ');
                    value.push_str(word);
                }
            }
            (None, None) => return Err(format!("/{} takes nothing more", prompt.command)),
        }
    }
    let is_missing = |name: &&str| !arguments.contains_key(*name);
    let required = prompt.arguments.iter().filter(|argument| argument.is_required);
    match required.map(|argument| argument.name.as_str()).find(is_missing) {
        Some(name) => Err(format!("/{} needs `{name}`", prompt.command)),
        None => Ok(arguments),
    }
}

/// Words between blanks; between double quotes blanks stay.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !is_quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> McpPrompt {
        serde_json::from_value(serde_json::json!({
            "server": "git", "name": "review", "command": "git:review", "description": "Reviews",
            "arguments": [{ "name": "branch", "isRequired": true }, { "name": "focus", "isRequired": false }],
        }))
        .unwrap()
    }

    #[test]
    fn arguments_come_in_order_or_by_name() {
        let check = |text: &str, wanted: &[(&str, &str)]| {
            let asked = asked(text, &[prompt()], Path::new("/repo")).unwrap().unwrap();
            let wanted =
                wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(asked.arguments, wanted, "{text}");
        };
        check("/git:review main", &[("branch", "main")]);
        check("/git:review main the parser", &[("branch", "main"), ("focus", "the parser")]);
        check("/git:review focus=\"the  parser\" a=b", &[("branch", "a=b"), ("focus", "the  parser")]);
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        let asked = |text: &str| asked(text, &[prompt()], Path::new("/repo"));
        assert_eq!(asked("/git:review").unwrap().unwrap_err(), "/git:review needs `branch`");
        assert!(asked("/git:review branch=a focus=b c").unwrap().unwrap_err().contains("nothing more"));
        assert!(asked("/git:other x").is_none() && asked("git:review").is_none());
        assert_eq!(entry(&prompt()).argument, "BRANCH [FOCUS]");
    }
}
