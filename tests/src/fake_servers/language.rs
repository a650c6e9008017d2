//! A language server on its standard input and output that misbehaves as its arguments say. It finds an error wherever
//! a file has the word `wrong`, one wherever a line `needs NAME` and no line of the files that it is shown `has NAME`,
//! and one in each file that a line `breaks`. Speaks its frames by hand, so that it can also say what no library would.
//! Knows nothing of Skein.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

/// How it behaves.
#[derive(Debug, Default)]
pub struct LanguageBehaviour {
    /// A file that gets a line with its process id when it starts, and one with each method that it hears. It stands in
    /// its own folder, which is its `TMPDIR`, if it is no absolute path.
    pub log: Option<PathBuf>,
    /// Whether it wants to be asked what it finds.
    pub is_asked: bool,
    /// Whether it never answers.
    pub is_silent: bool,
    /// Whether it says hello and nothing more.
    pub is_mute: bool,
    /// Whether it ends at once, with a word.
    pub is_broken: bool,
    /// Whether it ends when it is shown a file.
    pub is_dying: bool,
    /// Whether it says what is no frame when it is shown a file.
    pub is_malformed: bool,
    /// Whether it says what is no message, and messages of no meaning, before each answer.
    pub is_confused: bool,
    /// Whether it says more than anybody can read when it is shown a file.
    pub is_flooding: bool,
    /// Whether what it finds is long, has many lines, and tells a terminal what to do.
    pub is_shouting: bool,
    /// If present it tries to change the file that it is shown, to make others elsewhere, and to connect there.
    pub breaks_out_to: Option<String>,
}

impl LanguageBehaviour {
    /// From the words of a command line, such as `--asked --log FILE`.
    ///
    /// # Errors
    /// The word that is not known.
    pub fn of(words: &[String]) -> Result<Self, String> {
        let mut behaviour = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--log" => behaviour.log = words.next().map(PathBuf::from),
                "--asked" => behaviour.is_asked = true,
                "--silent" => behaviour.is_silent = true,
                "--mute" => behaviour.is_mute = true,
                "--broken" => behaviour.is_broken = true,
                "--dying" => behaviour.is_dying = true,
                "--malformed" => behaviour.is_malformed = true,
                "--confused" => behaviour.is_confused = true,
                "--flooding" => behaviour.is_flooding = true,
                "--shouting" => behaviour.is_shouting = true,
                "--breaks-out-to" => behaviour.breaks_out_to = words.next().cloned(),
                other => return Err(format!("`{other}` is unknown")),
            }
        }
        Ok(behaviour)
    }
}

/// Serves until its input ends.
///
/// # Errors
/// When its input or output is broken.
pub fn serve_language(behaviour: &LanguageBehaviour) -> io::Result<()> {
    let mut server = Server { behaviour, files: BTreeMap::new() };
    server.log(&std::process::id().to_string())?;
    if behaviour.is_broken {
        return writeln!(io::stderr(), "no configuration here");
    }
    let mut input = io::stdin().lock();
    while let Some(message) = read(&mut input)? {
        if !behaviour.is_silent {
            server.take(&message)?;
        }
    }
    Ok(())
}

fn read(input: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim().strip_prefix("Content-Length: ") {
            Some(value) => length = value.parse().map_err(io::Error::other)?,
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    serde_json::from_slice(&body).map(Some).map_err(io::Error::other)
}

struct Server<'a> {
    behaviour: &'a LanguageBehaviour,
    /// What it is shown, by the address.
    files: BTreeMap<String, (i64, String)>,
}

impl Server<'_> {
    fn log(&self, line: &str) -> io::Result<()> {
        let Some(log) = &self.behaviour.log else { return Ok(()) };
        let log = std::env::var_os("TMPDIR").map(PathBuf::from).unwrap_or_default().join(log);
        let mut log = std::fs::File::options().append(true).create(true).open(log)?;
        writeln!(log, "{line}")
    }

    fn take(&mut self, message: &Value) -> io::Result<()> {
        let (id, params) = (&message["id"], &message["params"]);
        let Some(method) = message["method"].as_str() else { return Ok(()) };
        self.log(method)?;
        let document = &params["textDocument"];
        let uri = document["uri"].as_str().unwrap_or_default();
        match method {
            "initialize" => {
                let mut capabilities = json!({"textDocumentSync": 1});
                if self.behaviour.is_asked {
                    capabilities["diagnosticProvider"] =
                        json!({"interFileDependencies": true, "workspaceDiagnostics": false});
                }
                self.answer(id, &json!({"capabilities": capabilities, "serverInfo": {"name": "fake"}}))
            }
            "textDocument/didOpen" => {
                let text = document["text"].as_str().unwrap_or_default();
                self.shown(uri, 1, text)
            }
            "textDocument/didChange" => {
                let text = params["contentChanges"][0]["text"].as_str().unwrap_or_default();
                self.shown(uri, document["version"].as_i64().unwrap_or_default(), text)
            }
            "textDocument/didClose" => {
                self.files.remove(uri);
                Ok(())
            }
            "textDocument/diagnostic" => {
                let items = self.found(uri);
                self.answer(id, &json!({"kind": "full", "items": items}))
            }
            _ if id.is_null() => Ok(()),
            _ => self.say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}})),
        }
    }

    fn shown(&mut self, uri: &str, version: i64, text: &str) -> io::Result<()> {
        self.files.insert(uri.to_owned(), (version, text.to_owned()));
        let behaviour = self.behaviour;
        if behaviour.is_dying {
            writeln!(io::stderr(), "dying now")?;
            std::process::exit(3);
        }
        if behaviour.is_malformed {
            let mut out = io::stdout().lock();
            out.write_all(b"this is no frame\r\n\r\n{}")?;
            return out.flush();
        }
        if behaviour.is_flooding {
            let noise = json!({"method": "window/logMessage", "params": {"message": "x".repeat(1_000_000)}});
            for _ in 0..1_000 {
                self.say(&noise)?;
            }
        }
        if let Some(address) = &behaviour.breaks_out_to {
            self.break_out(uri, address)?;
        }
        if behaviour.is_mute || behaviour.is_asked {
            return Ok(());
        }
        // What is said of one file may change with another.
        let all: Vec<_> = self.files.iter().map(|(uri, (version, _))| (uri.clone(), *version)).collect();
        for (uri, version) in all {
            let diagnostics = self.found(&uri);
            let params = json!({"uri": uri, "version": version, "diagnostics": diagnostics});
            self.say(
                &json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params}),
            )?;
        }
        // It has looked at the whole folder.
        for uri in self.broken() {
            let diagnostics = [error(7, 0, "broken by another file")];
            let params = json!({"uri": uri, "diagnostics": diagnostics});
            self.say(
                &json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params}),
            )?;
        }
        Ok(())
    }

    /// The files beside those that it is shown which these say that they break.
    fn broken(&self) -> Vec<String> {
        let of = |(uri, (_, text)): (&String, &(i64, String))| {
            let folder = uri.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default();
            let named = text.lines().filter_map(|line| line.strip_prefix("breaks "));
            named.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of).collect()
    }

    /// Tries what is forbidden, and logs what worked.
    fn break_out(&self, uri: &str, address: &str) -> io::Result<()> {
        let file = uri.trim_start_matches("file://");
        let home = std::env::var("HOME").unwrap_or_default();
        for path in [file.to_owned(), format!("{home}/planted"), "/tmp/planted-by-a-server".to_owned()] {
            if std::fs::write(&path, "planted").is_ok() {
                self.log(&format!("wrote {path}"))?;
            }
        }
        if std::net::TcpStream::connect(address).is_ok() {
            self.log("reached the network")?;
        }
        self.log("tried")
    }

    fn found(&self, uri: &str) -> Value {
        let Some((_, text)) = self.files.get(uri) else { return json!([]) };
        let error = |line: usize, character: usize, message: &str| {
            if !self.behaviour.is_shouting {
                return error(line, character, message);
            }
            let message = format!("\u{1b}]0;owned\u{7}{message}\n\u{202e}{}", "very ".repeat(10_000));
            error(line, character, &message)
        };
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if let Some(place) = line.find("wrong") {
                found.push(error(number, line[..place].encode_utf16().count(), "this is wrong"));
            }
            if line.contains("doubtful") {
                let start = json!({"line": number, "character": 0});
                let range = json!({"start": start, "end": start});
                found.push(json!({"range": range, "severity": 2, "message": "a warning"}));
            }
            if let Some(name) = line.strip_prefix("needs ")
                && !self
                    .files
                    .values()
                    .any(|(_, text)| text.lines().any(|line| line == format!("has {name}")))
            {
                found.push(error(number, 0, &format!("nothing has {name}")));
            }
        }
        found.into()
    }

    fn answer(&self, id: &Value, result: &Value) -> io::Result<()> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    fn say(&self, message: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.behaviour.is_confused {
            for nonsense in
                ["[]", "{\"id\": {}}", "not JSON", "{\"method\": 7}", "{\"id\": 99, \"result\": 1}"]
            {
                write!(out, "Content-Length: {}\r\n\r\n{nonsense}", nonsense.len())?;
            }
            let asks = json!({"jsonrpc": "2.0", "id": "x", "method": "workspace/configuration", "params": {
                "items": [{"section": "a.b"}, 7],
            }});
            write!(out, "Content-Length: {}\r\n\r\n{asks}", asks.to_string().len())?;
        }
        let text = message.to_string();
        write!(out, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        out.flush()
    }
}

fn error(line: usize, character: usize, message: &str) -> Value {
    let start = json!({"line": line, "character": character});
    json!({"range": {"start": start, "end": start}, "severity": 1, "code": "E1", "message": message})
}
