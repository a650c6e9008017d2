//! Asking the person at the terminal. Knows nothing of how the answer travels.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal};

use protocol::ids::QuestionId;
use protocol::question::{Decision, GrantScope, Question, QuestionKind};
use serde_json::Value;
use tokio::sync::mpsc;
use view::{escape, words};

use crate::output::Output;
use crate::question::{details, headline};
use crate::reply;

/// The person at the terminal.
pub(crate) struct Asker {
    output: Output,
    /// What is typed; a thread reads it from the first question on.
    lines: Option<mpsc::Receiver<String>>,
    /// Questions that wait; the first one is on the screen.
    waiting: VecDeque<Question>,
    /// What was filled in of the first one, if it has blanks.
    filled: Vec<(String, Value)>,
}

impl Asker {
    /// Somebody who sees standard error and types into standard input; `None` if nobody is there.
    pub(crate) fn at_terminal(output: Output) -> Option<Self> {
        let is_here = output.is_err_terminal && io::stdin().is_terminal();
        is_here.then(|| Self { output, lines: None, waiting: VecDeque::new(), filled: Vec::new() })
    }

    /// Asks, now or when the questions before it are answered.
    pub(crate) fn ask(&mut self, question: Question) {
        self.waiting.push_back(question);
        if self.waiting.len() == 1 {
            self.show();
        }
    }

    /// The question was answered elsewhere, or is void.
    pub(crate) fn withdraw(&mut self, id: QuestionId) {
        let was_shown = self.waiting.front().is_some_and(|question| question.id == id);
        self.waiting.retain(|question| question.id != id);
        if was_shown {
            self.output.note("\n(no longer asked)");
            self.show();
        }
    }

    /// What the person decides; waits for ever while nothing is asked. Cancel safe.
    pub(crate) async fn decision(&mut self) -> (QuestionId, Decision) {
        loop {
            let (Some(question), Some(lines)) = (self.waiting.front(), &mut self.lines) else {
                return std::future::pending().await;
            };
            let id = question.id;
            // The end of the input is a no: nobody can say yes any more.
            let line = lines.recv().await;
            let decided = match line {
                Some(line) => self.understand(&line),
                None => Some(Decision::Deny { message: None }),
            };
            match decided {
                Some(decision) => {
                    self.waiting.pop_front();
                    self.show();
                    return (id, decision);
                }
                None => self.prompt(),
            }
        }
    }

    /// The decision, once it is complete.
    fn understand(&mut self, line: &str) -> Option<Decision> {
        let question = self.waiting.front()?;
        let blanks = reply::blanks(&question.kind);
        if blanks.is_empty() {
            return decision(line, &question.kind);
        }
        if line.trim() == "/no" {
            return Some(Decision::Deny { message: None });
        }
        let blank = blanks.get(self.filled.len())?;
        match reply::fill(blank, line) {
            Ok(value) => self.filled.push((blank.name.clone(), value)),
            Err(error) => self.output.note(escape::line(&error)),
        }
        let is_full = self.filled.len() == blanks.len();
        is_full.then(|| reply::decision(&question.kind, std::mem::take(&mut self.filled)))
    }

    fn show(&mut self) {
        self.filled.clear();
        let Some(question) = self.waiting.front() else { return };
        let style = self.output.err;
        let mut text = format!("\n{}", style.yellow(headline(&question.kind)));
        for line in details(&question.kind) {
            text.push_str(&format!("\n  {line}"));
        }
        text.push_str(&format!("\n  why it is asked: {}", escape::line(&question.reason)));
        self.output.note(text);
        match &mut self.lines {
            // What was typed before the question was not meant for it.
            Some(lines) => while lines.try_recv().is_ok() {},
            None => self.lines = Some(typed_lines()),
        }
        self.prompt();
    }

    fn prompt(&self) {
        let blanks = self.waiting.front().map(|question| reply::blanks(&question.kind)).unwrap_or_default();
        if let Some(blank) = blanks.get(self.filled.len()) {
            let text = escape::short_line(&blank.text, 400);
            return self.output.note_part(&format!("{text} [`/no` declines]: "));
        }
        let is_for_good = self.waiting.front().is_some_and(|question| words::offers_always(&question.kind));
        let always = if is_for_good { "[a] always  " } else { "" };
        let text = format!("Allow it? [y] yes, once  [s] for this session  {always}[n] no: ");
        self.output.note_part(&text);
    }
}

fn decision(line: &str, kind: &QuestionKind) -> Option<Decision> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(Decision::Allow { scope: GrantScope::Once }),
        "s" | "session" => Some(Decision::Allow { scope: GrantScope::Session }),
        "a" | "always" if words::offers_always(kind) => Some(Decision::Allow { scope: GrantScope::Always }),
        "n" | "no" => Some(Decision::Deny { message: None }),
        _ => None,
    }
}

/// Reads lines in a thread, which ends with the process.
fn typed_lines() -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel(1);
    let reader = move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tx.blocking_send(line).is_err() {
                break;
            }
        }
    };
    // If no thread can be made, the channel closes at once, which is a no.
    let _ends_with_the_process = std::thread::Builder::new().name("answers".to_owned()).spawn(reader);
    rx
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(proposed_rule: Option<&str>) -> QuestionKind {
        QuestionKind::Command {
            command: "ls".to_owned(),
            argv: vec!["ls".to_owned()],
            cwd: "/".into(),
            is_escalated: false,
            justification: None,
            refusals: Vec::new(),
            proposed_rule: proposed_rule.map(str::to_owned),
        }
    }

    #[test]
    fn only_a_clear_word_is_an_answer() {
        let decision = |line| super::decision(line, &kind(Some("prefix_rule(pattern=[\"ls\"])")));
        let allow = |scope| Some(Decision::Allow { scope });
        assert_eq!(decision(" Y\n"), allow(GrantScope::Once));
        assert_eq!(decision("session"), allow(GrantScope::Session));
        assert_eq!(decision("a"), allow(GrantScope::Always));
        assert_eq!(decision("no"), Some(Decision::Deny { message: None }));
        for line in ["", "yo", "ny", "\u{1b}[A"] {
            assert_eq!(decision(line), None);
        }
    }

    #[test]
    fn always_is_no_answer_where_no_rule_can_be_written() {
        for line in ["a", "always"] {
            assert_eq!(decision(line, &kind(None)), None);
        }
        assert_eq!(decision("y", &kind(None)), Some(Decision::Allow { scope: GrantScope::Once }));
    }
}
