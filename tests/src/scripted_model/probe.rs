//! The smallest HTTP client that shows what the server puts on the wire, broken streams included. For the
//! server's own tests only.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::scripted_model::server::ScriptedModel;

/// What came back.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The sizes of the body's chunks.
    pub(crate) chunks: Vec<usize>,
    pub(crate) end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As HTTP has it.
    Proper,
    /// The connection was closed too early.
    Cut,
    /// Nothing more came for a while.
    Stalled,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The JSON of each event, read as the standard says for streams without multi-line data.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text().trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The type of each event.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// A connection of its own.
pub(crate) fn connect(model: &ScriptedModel) -> BufReader<TcpStream> {
    let url = model.base_url();
    let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1")).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(stream)
}

/// Posts a body to `/v1/responses`.
pub(crate) fn post(model: &ScriptedModel, body: &Value) -> Seen {
    let mut connection = connect(model);
    send(&mut connection, "POST /v1/responses", body.to_string().as_bytes(), &[]);
    receive(&mut connection)
}

/// A body that is taken.
pub(crate) fn hello() -> Value {
    serde_json::json!({"model": "m", "input": "hello", "stream": true})
}

pub(crate) fn send(connection: &mut BufReader<TcpStream>, what: &str, body: &[u8], headers: &[(&str, &str)]) {
    let mut head = format!("{what} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    connection.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
}

/// Reads one response. A connection that is closed before the headers shows as status 0.
pub(crate) fn receive(connection: &mut BufReader<TcpStream>) -> Seen {
    let mut seen =
        Seen { status: 0, headers: Vec::new(), body: Vec::new(), chunks: Vec::new(), end: End::Proper };
    let Ok(line) = read_line(connection) else { return Seen { end: End::Stalled, ..seen } };
    let Some(status) = line.split(' ').nth(1) else { return Seen { end: End::Cut, ..seen } };
    seen.status = status.parse().unwrap();
    loop {
        let line = read_line(connection).unwrap();
        let Some((name, value)) = line.split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = seen.header("content-length") {
        seen.body = vec![0; length.parse().unwrap()];
        connection.read_exact(&mut seen.body).unwrap();
        return seen;
    }
    loop {
        let line = match read_line(connection) {
            Ok(line) if line.is_empty() => return Seen { end: End::Cut, ..seen },
            Ok(line) => line,
            Err(_) => return Seen { end: End::Stalled, ..seen },
        };
        let size = usize::from_str_radix(&line, 16).unwrap();
        let start = seen.body.len();
        seen.body.resize(start + size, 0);
        connection.read_exact(&mut seen.body[start..]).unwrap();
        assert_eq!(read_line(connection).unwrap(), "");
        if size == 0 {
            return seen;
        }
        seen.chunks.push(size);
    }
}

/// A line without its end; empty where the connection is closed. An error means that none came in time.
fn read_line(connection: &mut BufReader<TcpStream>) -> Result<String, ErrorKind> {
    let mut line = String::new();
    match connection.read_line(&mut line) {
        Ok(_) => Ok(line.trim_end().to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(String::new()),
        Err(error) => Err(error.kind()),
    }
}
