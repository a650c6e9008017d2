//! Has a file of rules read by a process of its own.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use policy::rules::{Rule, RulePlace, RulesError};

use crate::answer::{Answer, Complaint};
use crate::child::ARGUMENT;

/// A longer file is refused.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;
/// A longer answer, too: so many rules nobody wrote.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// So long the process may take, where its own limits do not end it before.
const LONGEST: Duration = Duration::from_secs(2);

/// Starts processes that read rules.
#[derive(Clone, Debug)]
pub struct Reader {
    program: PathBuf,
}

impl Reader {
    /// A reader whose processes are this executable. It must call [`crate::run_if_reader`] first of all.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Reads a text with rules. `file` names it, for places and errors. Blocks until the process has ended, at most
    /// a few seconds.
    ///
    /// # Errors
    /// What is wrong with the file, with its place.
    pub fn read(&self, file: &str, text: &str) -> Result<Vec<Rule>, RulesError> {
        let found = if text.len() as u64 > MAX_BYTES {
            Err(Complaint::of_the_whole("The file is longer than 1 MiB"))
        } else {
            self.ask(text)
        };
        match found {
            Ok(rules) => Ok(rules.into_iter().map(|rule| placed(rule, file)).collect()),
            Err(Complaint { line, column, message }) => {
                Err(RulesError { file: file.to_owned(), line, column, message })
            }
        }
    }

    fn ask(&self, text: &str) -> Answer {
        let failed = |error: io::Error| {
            Complaint::of_the_whole(format!("The process that reads rules can't be run: {error}"))
        };
        let mut child = self.start().map_err(failed)?;
        let answer = answer(&mut child, text);
        // Harmless if it has ended, as it should have; then there is nothing to kill.
        let killed = child.kill();
        child.wait().and(killed).map_err(failed)?;
        let bytes = answer.ok_or_else(|| Complaint::of_the_whole("The file takes too long to be read"))?;
        serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            Err(Complaint::of_the_whole("The file takes too much memory or time to be read"))
        })
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// What the process writes, as far as it is taken; `None` if it does not end.
fn answer(child: &mut Child, text: &str) -> Option<Vec<u8>> {
    let mut output = child.stdout.take()?.take(MAX_ANSWER_BYTES);
    let (done, ended) = mpsc::sync_channel(1);
    // Ends with the process, which the caller sees to.
    let listener = thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.read_to_end(&mut bytes);
        // Nobody waits any more if it took too long.
        done.send(read.map(|_| bytes)).is_ok()
    });
    // A process that ends before it has read the text says so by its answer.
    if let Some(mut input) = child.stdin.take() {
        drop(input.write_all(text.as_bytes()));
    }
    let bytes = ended.recv_timeout(LONGEST).ok()?.ok();
    drop(listener.join());
    bytes
}

/// The rule with the name of its file.
fn placed(mut rule: Rule, file: &str) -> Rule {
    let name = |place: &mut RulePlace| file.clone_into(&mut place.file);
    match &mut rule {
        Rule::Prefix(rule) => name(&mut rule.place),
        Rule::Outside(rule) => name(&mut rule.place),
        Rule::Network(rule) => name(&mut rule.place),
        Rule::Executable(_) => {}
    }
    rule
}
