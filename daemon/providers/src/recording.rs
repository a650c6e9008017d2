//! Answers as a file: what providers said, to be read by a person, and to be played again through the same reading. One
//! line of JSON for each answer or refusal, in the order in which they ended; the first line says what the file is. An
//! answer belongs to a place in a conversation, so that any number of sessions can follow a recording, each from where it
//! is. Knows nothing of what the events mean.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::request::{InputItem, answers, text_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::settings::{RecordedApi, Secret};

/// The version of the format.
const VERSION: u32 = 1;

/// The length of a mark.
const MARK_BYTES: usize = 8;

/// The longest title.
const TITLE_BYTES: u64 = 4096;

/// The first line of a file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Title {
    /// The version of the format.
    skein_recording: u32,
    /// What the events are events of.
    pub(crate) wire_api: RecordedApi,
}

/// What a request stands after. A conversation that was put into less begins anew, so counting answers does not do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Form::is_events")]
    pub(crate) form: Form,
    /// How many answers stood in the conversation that was sent.
    pub(crate) answers_before: usize,
    /// A mark of how it begins.
    #[serde(default)]
    pub(crate) head: String,
    /// A mark of the last thing in it.
    #[serde(default)]
    pub(crate) tail: String,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Form {
    /// Events, one after the other.
    #[default]
    Events,
    /// One object, which stands for the conversation.
    Object,
}

impl Form {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as `serde` has it")]
    fn is_events(&self) -> bool {
        *self == Self::Events
    }
}

impl Place {
    /// The place of a request with this conversation.
    pub(crate) fn of(form: Form, input: &[InputItem]) -> Self {
        // What stands for the conversation before may be several things that the provider made.
        let is_made = |item: &InputItem| matches!(item, InputItem::Reasoning(_));
        let made = input.iter().take_while(|item| is_made(item)).count();
        let head = &input[..made.max(1).min(input.len())];
        let tail = &input[input.len().saturating_sub(1)..];
        Self { form, answers_before: answers(input), head: mark(head), tail: mark(tail) }
    }
}

/// Tells conversations apart, and nothing of what they say.
fn mark(items: &[InputItem]) -> String {
    let mut hash = Sha256::new();
    for item in items {
        match item {
            InputItem::UserMessage(content) => hash.update(text_of(content).as_bytes()),
            InputItem::AgentMessage(text) => hash.update(text),
            InputItem::Reasoning(opaque) => hash.update(opaque.item.to_string()),
            InputItem::ToolCall(call) => hash.update(call.input.text()),
            InputItem::ToolOutput { output, .. } => hash.update(text_of(output).as_bytes()),
        }
        hash.update([0]);
    }
    hash.finalize().iter().take(MARK_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// One answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedExchange {
    /// What it is an answer to.
    #[serde(flatten)]
    pub(crate) place: Place,
    /// The model that was asked.
    pub(crate) model: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body of a refusal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    /// The data of each event of an answer; an object is the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<String>,
    /// How it ended.
    pub(crate) end: End,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum End {
    /// It was read to its end.
    Complete,
    /// It broke off, or nobody wanted more of it.
    Cut,
}

/// Records one answer. It is written when this is dropped, which blocks for as long as a line takes to write.
pub(crate) struct Tape {
    recorder: Arc<Recorder>,
    exchange: RecordedExchange,
}

impl Tape {
    pub(crate) fn event(&mut self, data: &str) {
        self.exchange.events.push(data.to_owned());
    }

    pub(crate) fn complete(&mut self) {
        self.exchange.end = End::Complete;
    }

    /// A refusal and its body.
    pub(crate) fn refused(mut self, status: u16, body: &[u8]) {
        self.exchange.status = status;
        self.exchange.body = String::from_utf8_lossy(body).into_owned();
        self.complete();
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if let Err(error) = self.recorder.write(&self.exchange) {
            warn!(path = %self.recorder.file.display(), %error, "an answer could not be recorded");
        }
    }
}

/// Writes what a provider says into a file.
pub(crate) struct Recorder {
    file: PathBuf,
    wire_api: RecordedApi,
    secrets: Vec<Secret>,
}

impl Recorder {
    /// Into this file, which is made if it is not there. What is in there stays.
    pub(crate) fn new(file: PathBuf, wire_api: RecordedApi, secrets: Vec<Secret>) -> Arc<Self> {
        Arc::new(Self { file, wire_api, secrets })
    }

    /// A tape for the answer to a request.
    pub(crate) fn tape(self: &Arc<Self>, place: &Place, model: &str) -> Tape {
        let exchange = RecordedExchange {
            place: place.clone(),
            model: model.to_owned(),
            status: 200,
            body: String::new(),
            events: Vec::new(),
            end: End::Cut,
        };
        Tape { recorder: Arc::clone(self), exchange }
    }

    fn write(&self, exchange: &RecordedExchange) -> io::Result<()> {
        let mut text = serde_json::to_string(exchange)? + "\n";
        for secret in &self.secrets {
            // As it stands in JSON, once and twice.
            let in_json = serde_json::to_string(secret.reveal())?;
            let in_json = in_json.trim_matches('"');
            let twice = serde_json::to_string(in_json)?;
            for written in [twice.trim_matches('"'), in_json, secret.reveal()] {
                text = text.replace(written, "[secret]");
            }
        }
        let mut file = self.open()?;
        if file.metadata()?.len() == 0 {
            let title = Title { skein_recording: VERSION, wire_api: self.wire_api };
            text = format!("{}\n{text}", serde_json::to_string(&title)?);
        }
        file.write_all(text.as_bytes())
    }

    /// The file at its end. One that is not there is made for its owner alone: what a model says may be secret.
    fn open(&self) -> io::Result<File> {
        let open = || OpenOptions::new().append(true).open(&self.file);
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
                let made = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
                match made.persist_noclobber(&self.file) {
                    // Another recorder may have been faster.
                    Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
                    Ok(_) | Err(_) => open(),
                }
            }
            opened => opened,
        }
    }
}

/// Plays what was recorded. Each request gets what came to the one at its place; a request that is sent again gets what
/// came then.
pub(crate) struct Player {
    takes: BTreeMap<(Form, usize), Vec<RecordedExchange>>,
}

impl Player {
    /// Whether the recorded provider put a conversation into less, or was asked to.
    pub(crate) fn compacts(&self) -> bool {
        self.takes.keys().any(|(form, _)| *form == Form::Object)
    }

    /// What comes to the request at this place, when it is sent for the time of this number, from 0. Who says other
    /// things than were recorded, or gets other things out of tools, is answered by the number of answers alone.
    pub(crate) fn take(&self, place: &Place, time: usize) -> Option<&RecordedExchange> {
        let all: Vec<_> = self.takes.get(&(place.form, place.answers_before))?.iter().collect();
        let of_head = narrowed(all, |take| take.place.head == place.head);
        narrowed(of_head, |take| take.place.tail == place.tail).get(time).copied()
    }
}

/// Those that fit; all, if none does.
fn narrowed(
    takes: Vec<&RecordedExchange>,
    fits: impl Fn(&RecordedExchange) -> bool,
) -> Vec<&RecordedExchange> {
    let fitting: Vec<_> = takes.iter().copied().filter(|take| fits(take)).collect();
    if fitting.is_empty() { takes } else { fitting }
}

/// Whether a file looks like a recording.
pub(crate) fn is_recording(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut first = String::new();
    // A title is far shorter, whatever stands there.
    let read = BufReader::new(file.take(TITLE_BYTES)).read_line(&mut first);
    read.is_ok() && title(&first).is_ok()
}

fn title(text: &str) -> Result<Title, String> {
    let first = text.lines().next().unwrap_or_default();
    let title: Title = serde_json::from_str(first).map_err(|error| format!("line 1: {error}"))?;
    if title.skein_recording != VERSION {
        return Err(format!("line 1: its version is {}, not {VERSION}", title.skein_recording));
    }
    Ok(title)
}

/// Reads a recording.
///
/// # Errors
/// What is wrong with the file, and in which line.
pub(crate) fn read(path: &Path) -> Result<(RecordedApi, Player), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let title = title(&text)?;
    let mut takes: BTreeMap<_, Vec<RecordedExchange>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let exchange: RecordedExchange =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        takes.entry((exchange.place.form, exchange.place.answers_before)).or_default().push(exchange);
    }
    Ok((title.wire_api, Player { takes }))
}

#[cfg(test)]
mod tests;
