//! Answers as a file: what providers streamed, to be read by a person, and to be played again through the same
//! reading. One line of JSON for each answer or refusal, in the order in which they ended; the first line says what
//! the file is. Knows nothing of what the events mean.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::settings::{RecordedApi, Secret};

/// The version of the format.
const VERSION: u32 = 1;

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

/// One answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedExchange {
    /// How many answers stood in the conversation that was sent.
    pub(crate) answers_before: usize,
    /// The model that was asked.
    pub(crate) model: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body of a refusal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    /// The data of each event of an answer.
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
    pub(crate) fn tape(self: &Arc<Self>, answers_before: usize, model: &str) -> Tape {
        let exchange = RecordedExchange {
            answers_before,
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

/// Plays what was recorded. Each request gets what came to the request with as many answers before; a request that is
/// sent again gets what came then.
pub(crate) struct Player {
    takes: BTreeMap<usize, Vec<RecordedExchange>>,
}

impl Player {
    /// What comes to the request with so many answers before, when it is sent for the time of this number, from 0.
    pub(crate) fn take(&self, answers_before: usize, time: usize) -> Option<&RecordedExchange> {
        self.takes.get(&answers_before)?.get(time)
    }
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
    let mut takes: BTreeMap<usize, Vec<RecordedExchange>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let exchange: RecordedExchange =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        takes.entry(exchange.answers_before).or_default().push(exchange);
    }
    Ok((title.wire_api, Player { takes }))
}
