//! Prompts of servers: what a person can say with one command. What is said of them, and what they say, is text of a
//! stranger: made harmless and bounded here, and shown to the person before it is said.

use std::collections::{BTreeMap, BTreeSet};

use protocol::mcp::{McpPrompt, McpPromptArgument};
use rmcp::model::{ContentBlock, GetPromptRequestParams, Prompt, PromptMessage, ResourceContents, Role};
use serde_json::{Map, Value};

use crate::call::{self, Waiting};
use crate::definition::digest;
use crate::error::McpError;
use crate::server::Live;
use crate::text;

/// Prompts of one server.
pub(crate) const MAX_PROMPTS: usize = 128;
/// What one of them wants to know.
const MAX_ARGUMENTS: usize = 16;
/// Bytes of a name.
const MAX_NAME: usize = 200;
/// Bytes of a command.
const MAX_COMMAND: usize = 64;
/// Bytes of what is said of it.
const MAX_DESCRIPTION: usize = 1024;
/// Bytes of what a person says to one thing.
const MAX_VALUE: usize = 16 * 1024;
/// Bytes of what it says.
const MAX_TEXT: usize = 64 * 1024;

/// The prompts that a server listed. One whose name can't be sent back as it is shown is left out.
pub(crate) fn read(server: &str, prompts: &[Prompt]) -> Vec<McpPrompt> {
    let mut commands = BTreeSet::new();
    let mut read: Vec<_> = prompts
        .iter()
        .take(MAX_PROMPTS)
        .filter(|prompt| is_name(&prompt.name))
        .filter_map(|prompt| {
            let described = prompt.description.as_deref().or(prompt.title.as_deref());
            let arguments = prompt.arguments.iter().flatten();
            let is_whole =
                arguments.clone().all(|argument| is_name(&argument.name) || argument.required != Some(true));
            let arguments: Vec<_> = arguments
                .filter(|argument| is_name(&argument.name))
                .map(|argument| McpPromptArgument {
                    name: argument.name.clone(),
                    description: argument
                        .description
                        .as_deref()
                        .map(|said| text::line(said, MAX_DESCRIPTION)),
                    is_required: argument.required.unwrap_or(false),
                })
                .collect();
            let mut command = command(server, &prompt.name);
            if commands.contains(&command) {
                command = marked(&command, &prompt.name);
            }
            let is_offered = is_whole && arguments.len() <= MAX_ARGUMENTS && commands.insert(command.clone());
            is_offered.then(|| McpPrompt {
                server: server.to_owned(),
                name: prompt.name.clone(),
                command,
                description: described.map(|said| text::line(said, MAX_DESCRIPTION)),
                arguments,
            })
        })
        .collect();
    read.sort_by(|left, right| left.name.cmp(&right.name));
    read
}

/// What a prompt says.
///
/// # Errors
/// `NoPrompt`, `BadCall`, `CallTimeout`, `Gone`, `Refused`, `Nonsense`, `LoginRequired`.
pub(crate) async fn get(
    live: &Live,
    known: &McpPrompt,
    arguments: BTreeMap<String, String>,
    waiting: Waiting,
) -> Result<String, McpError> {
    let mut params = GetPromptRequestParams::new(known.name.clone());
    params.arguments = Some(checked(known, arguments)?);
    let server = || known.server.clone();
    let result = call::prompt(live, params, waiting).await?;
    let said = text(&result.messages);
    if said.trim().is_empty() {
        return Err(McpError::Nonsense { server: server(), reason: "its prompt says nothing".to_owned() });
    }
    Ok(said)
}

fn checked(known: &McpPrompt, arguments: BTreeMap<String, String>) -> Result<Map<String, Value>, McpError> {
    let bad = |reason: String| Err(McpError::BadCall { reason });
    for (name, value) in &arguments {
        if !known.arguments.iter().any(|argument| argument.name == *name) {
            return bad(format!(
                "The prompt `{}` wants to know nothing of `{}`",
                known.name,
                text::line(name, 100)
            ));
        }
        if value.len() > MAX_VALUE {
            return bad(format!("What is said to `{name}` has more than {MAX_VALUE} bytes"));
        }
    }
    let missing = known
        .arguments
        .iter()
        .find(|argument| argument.is_required && !arguments.contains_key(&argument.name));
    if let Some(missing) = missing {
        return bad(format!("The prompt `{}` wants to know `{}`", known.name, missing.name));
    }
    Ok(arguments.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

/// All messages as one text. Whose they are is said where they are not all of the person.
fn text(messages: &[PromptMessage]) -> String {
    let are_all_of_person = messages.iter().all(|message| message.role == Role::User);
    let parts: Vec<_> = messages
        .iter()
        .map(|message| {
            let said = part(&message.content);
            match message.role {
                _ if are_all_of_person => said,
                Role::User => format!("User: {said}"),
                Role::Assistant => format!("Assistant: {said}"),
            }
        })
        .collect();
    text::bounded(&parts.join("\n\n"), MAX_TEXT)
}

fn part(content: &ContentBlock) -> String {
    match content {
        ContentBlock::Text(part) => text::plain(&part.text),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text: said, .. } => {
                format!("[{}]\n{}", text::line(uri, MAX_NAME), text::plain(said))
            }
            _ => "[a resource that is no text]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[resource {}]", text::line(&link.uri, MAX_NAME)),
        ContentBlock::Image(_) => "[an image]".to_owned(),
        ContentBlock::Audio(_) => "[audio]".to_owned(),
        _ => "[a part of a kind that is not known here]".to_owned(),
    }
}

/// Whether a name is shown as it is sent.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= MAX_NAME && text::line(name, MAX_NAME) == name
}

/// The command that means a prompt: `server:prompt`, of letters that a person can type.
fn command(server: &str, prompt: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let command = format!("{server}:{}", prompt.chars().map(plain).collect::<String>());
    if command.len() <= MAX_COMMAND { command } else { marked(&command, prompt) }
}

/// A command that is cut, or was taken already, with a mark that tells it from others.
fn marked(command: &str, prompt: &str) -> String {
    let mark = &digest(&[prompt])[..8];
    format!("{}_{mark}", &command[..command.floor_char_boundary(command.len().min(MAX_COMMAND - 9))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompts(values: &[Value]) -> Vec<McpPrompt> {
        let prompts: Vec<Prompt> =
            values.iter().map(|value| serde_json::from_value(value.clone()).expect("a prompt")).collect();
        read("docs", &prompts)
    }

    #[test]
    fn commands_can_be_typed_and_differ() {
        let long = "x".repeat(100);
        let names = ["a b", "a/b", &long, &format!("{long}y")];
        let read = prompts(&names.map(|name| json!({"name": name})));
        let commands: BTreeSet<_> = read.iter().map(|prompt| prompt.command.as_str()).collect();
        assert_eq!(commands.len(), 4, "{commands:?}");
        assert!(
            commands.contains("docs:a_b") && commands.iter().all(|command| command.len() <= 64),
            "{commands:?}"
        );
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
        assert!(commands.iter().all(|command| command.chars().all(is_plain)), "{commands:?}");
    }

    #[test]
    fn what_is_hostile_is_left_out_or_made_harmless() {
        let many: Vec<_> = (0..MAX_PROMPTS + 5).map(|number| json!({"name": format!("p{number}")})).collect();
        assert_eq!(prompts(&many).len(), MAX_PROMPTS);
        let arguments: Vec<_> =
            (0..=MAX_ARGUMENTS).map(|number| json!({"name": format!("a{number}")})).collect();
        let read = prompts(&[
            json!({"name": "a\u{1b}[2J"}),
            json!({"name": ""}),
            json!({"name": "many", "arguments": arguments}),
            json!({"name": "hidden", "arguments": [{"name": "x\u{202e}y", "required": true}]}),
            json!({"name": "good", "description": "d\u{1b}[2J\nx", "arguments": [{"name": "x\u{202e}y"}]}),
        ]);
        assert_eq!(read.len(), 1, "{read:?}");
        assert_eq!((read[0].description.as_deref(), read[0].arguments.len()), (Some("d[2J x"), 0));
    }

    #[test]
    fn only_what_a_prompt_wants_to_know_is_sent() {
        let known =
            &prompts(&[json!({"name": "fix", "arguments": [{"name": "issue", "required": true}]})])[0];
        let given = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(checked(known, given(&[("issue", "7")])).expect("good")["issue"], "7");
        let long = "x".repeat(MAX_VALUE + 1);
        for (pairs, wanted) in [
            (&[][..], "wants to know `issue`"),
            (&[("issue", "7"), ("other", "x")][..], "nothing of `other`"),
            (&[("issue", long.as_str())][..], "more than"),
        ] {
            let Err(error) = checked(known, given(pairs)) else { panic!("{wanted}") };
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn messages_become_one_text_that_is_bounded() {
        let message = |role, words: &str| PromptMessage::new(role, ContentBlock::text(words));
        assert_eq!(text(&[message(Role::User, "one\u{1b}[2J"), message(Role::User, "two")]), "one[2J\n\ntwo");
        let both = [message(Role::User, "ask"), message(Role::Assistant, "answer")];
        assert_eq!(text(&both), "User: ask\n\nAssistant: answer");
        assert!(text(&[message(Role::User, &"x".repeat(MAX_TEXT * 2))]).len() < MAX_TEXT + 100);
    }
}
