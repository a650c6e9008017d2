//! What goes into a report of a bug: what runs where, and what became of the last turns. Nothing of what was said, no
//! contents of files, no output and no keys. Knows nothing of how it is shown and kept.

use protocol::daemon::DaemonStatus;
use protocol::item::{Item, ItemBody};
use protocol::session::SessionSnapshot;
use protocol::turn::{Turn, TurnOutcome};
use view::{effort_text, words};

/// What a terminal tells of itself, and what it runs in.
const VARIABLES: [&str; 7] =
    ["TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "VTE_VERSION", "LANG", "WSL_DISTRO_NAME"];
/// Variables of which it matters only whether they are there.
const MARKS: [&str; 4] = ["TMUX", "STY", "SSH_CONNECTION", "ZELLIJ"];
/// Letters of a word from which on it may be a key.
const KEY_LETTERS: usize = 20;

/// What this process knows of its surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    variables: Vec<(&'static str, String)>,
    home: Option<String>,
}

impl Surroundings {
    /// Reads an environment.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let told = VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?)));
        let marks =
            MARKS.iter().filter_map(|name| Some((*name, variable(name).map(|_| "is set".to_owned())?)));
        Self { variables: told.chain(marks).collect(), home: variable("HOME").filter(|home| home.len() > 1) }
    }
}

/// The report, as markdown.
pub(crate) fn bundle(around: &Surroundings, status: &DaemonStatus, session: &SessionSnapshot) -> String {
    let mut text = String::from(
        "# A report of what is wrong\n\nWrite here what you did, what you expected, and what came of it.\n\n## What runs where\n\n",
    );
    let mut put = |name: &str, value: &str| text.push_str(&format!("- {name}: {value}\n"));
    put("screen", env!("CARGO_PKG_VERSION"));
    put("daemon", &status.build);
    put("system", &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    for (name, value) in &around.variables {
        put(name, value);
    }
    if let Some(sandbox) = &status.sandbox {
        put("sandbox", &serde_json::to_string(sandbox).unwrap_or_default());
    }
    for warning in &status.warnings {
        put("warning", warning);
    }
    let settings = &session.summary.settings;
    text.push_str("\n## The session\n\n");
    let mut put = |name: &str, value: &str| text.push_str(&format!("- {name}: {value}\n"));
    put("model", &format!("{} ({})", settings.model, settings.provider));
    put("effort", settings.reasoning_effort.as_ref().map_or("default", effort_text));
    put("sandbox", settings.sandbox.as_str());
    put("approvals", settings.approval.as_str());
    put("turns", &session.summary.turn_count.to_string());
    put("spent", &words::tokens(&session.summary.usage));
    text.push_str("\n## The last turns\n\n");
    for turn in &session.turns {
        push_turn(&mut text, turn);
    }
    without_secrets(&text, around.home.as_deref())
}

fn push_turn(text: &mut String, turn: &Turn) {
    let outcome = match &turn.outcome {
        None => "under way".to_owned(),
        Some(TurnOutcome::Completed) => "completed".to_owned(),
        Some(outcome) => words::ending(outcome).unwrap_or_else(|| "ended".to_owned()),
    };
    text.push_str(&format!("- {outcome}\n"));
    for item in &turn.items {
        let status = serde_json::to_string(&item.status).unwrap_or_default();
        text.push_str(&format!("  - {}: {}\n", kind(item), status.trim_matches('"')));
    }
}

/// What an item is, without what is in it.
fn kind(item: &Item) -> String {
    match &item.body {
        ItemBody::UserMessage(_) => "what was said".to_owned(),
        ItemBody::AgentMessage(_) => "an answer".to_owned(),
        ItemBody::Reasoning(_) => "reasoning".to_owned(),
        ItemBody::Command(command) => {
            let exit = command.outcome.as_ref().and_then(|outcome| words::exit(&outcome.exit));
            exit.map_or_else(|| "a command".to_owned(), |exit| format!("a command ({exit})"))
        }
        ItemBody::FileChange(_) => "a change of files".to_owned(),
        ItemBody::ToolCall(call) => format!("a call of {}", call.call.name),
        ItemBody::Plan(_) => "a plan".to_owned(),
        ItemBody::Notice(notice) => format!("a notice: {}", notice.text),
        ItemBody::WebSearch(_) => "a search of the web".to_owned(),
        ItemBody::Compaction(_) => "a compaction".to_owned(),
        ItemBody::Agent(_) => "an agent's report".to_owned(),
        ItemBody::Review(_) => "a review".to_owned(),
        ItemBody::Unknown(_) => "something newer".to_owned(),
    }
}

/// The same with the person's folder as `~`, and without words that look like keys.
fn without_secrets(text: &str, home: Option<&str>) -> String {
    let text = home.map_or_else(|| text.to_owned(), |home| text.replace(home, "~"));
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(|letter: char| !is_of_key(letter)) {
        let key = word.trim_end_matches(|letter: char| !is_of_key(letter));
        if looks_like_key(key) {
            clean.push_str("[left out]");
            clean.push_str(&word[key.len()..]);
        } else {
            clean.push_str(word);
        }
    }
    clean
}

fn is_of_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// Long, and of letters and figures as no word is: an identity of ours has small letters only, and dashes.
fn looks_like_key(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|letter| is(&letter));
    let is_known = ["sk-", "ghp_", "gho_", "github_pat_", "xox", "AKIA", "AIza", "glpat-"]
        .iter()
        .any(|beginning| word.starts_with(beginning));
    let is_mixed =
        has(char::is_ascii_digit) && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    word.len() >= KEY_LETTERS && (is_known || is_mixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    fn status() -> DaemonStatus {
        serde_json::from_value(serde_json::json!({
            "version": "1", "build": "1 abc", "protocol": {"major": 1, "minor": 0}, "epoch": "00000000-0000-0000-0000-000000000001", "pid": 1,
            "startedAt": 0, "sessions": 1, "turns": 0, "clients": 1, "loadedSessions": 1, "runningTurns": 0, "connections": 1,
            "warnings": ["`/home/me/x` is odd, sk-abcdefghijklmnopqrstuvwxyz too"],
            "folders": {"config": "/c", "state": "/s", "socket": "/k", "log": "/l"},
            "isDraining": false, "residentBytes": 0, "uptimeMs": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_report_tells_what_runs_and_nothing_that_was_said() {
        let around = Surroundings::of(|name| match name {
            "HOME" => Some("/home/me".to_owned()),
            "TERM" => Some("xterm".to_owned()),
            "TMUX" => Some("/tmp/secret,1".to_owned()),
            _ => None,
        });
        let text = bundle(&around, &status(), &session("the answer"));
        for told in ["- TERM: xterm\n", "- TMUX: is set\n", "m-1 (local)", "- under way\n", "`~/x` is odd"] {
            assert!(text.contains(told), "{told} in {text}");
        }
        for kept in ["the answer", "make it work", "/tmp/secret", "sk-abc", "/home/me"] {
            assert!(!text.contains(kept), "{kept} in {text}");
        }
    }

    #[test]
    fn words_that_look_like_keys_are_left_out() {
        for key in ["sk-ant-0123456789abcdefgh", "ghp_abcdefghijklmnopqrstu", "eyJhbGciOiJIUzI1NiIsInR5"] {
            assert_eq!(without_secrets(&format!("a {key}, b"), None), "a [left out], b");
        }
        for word in
            ["0192f0c4-3c1e-7000-8000-00000000000a", "a-long-word-without-any-figures", "workspace-write"]
        {
            assert_eq!(without_secrets(word, None), word);
        }
    }
}
