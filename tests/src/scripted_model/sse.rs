//! Writes server-sent events into one buffer. Knows the framing and how an event's fields are laid out, not
//! which events there are.

use bytes::Bytes;
use serde_json::Value;

use crate::scripted_model::reply::{LineEnd, Style};

/// The events of one stream, one after the other in one buffer.
pub(crate) struct Events {
    buffer: Vec<u8>,
    /// Where each event ends.
    ends: Vec<usize>,
    style: Style,
}

impl Events {
    pub(crate) fn new(style: Style, capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(capacity);
        if style.byte_order_mark {
            buffer.extend_from_slice("\u{feff}".as_bytes());
        }
        Self { buffer, ends: Vec::new(), style }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Adds an event: its type and number, then what `fill` adds.
    pub(crate) fn event(&mut self, kind: &str, fill: impl FnOnce(&mut Fields<'_>)) {
        let number = self.count() as u64;
        self.begin(Some(kind));
        self.buffer.push(b'{');
        let mut fields = Fields { buffer: &mut self.buffer, is_first: true };
        fields.text("type", kind);
        fields.number("sequence_number", number);
        fill(&mut fields);
        self.buffer.push(b'}');
        self.finish();
    }

    /// Adds an event whose data is this text, which has no line breaks.
    pub(crate) fn raw(&mut self, kind: Option<&str>, data: &str) {
        self.begin(kind);
        self.buffer.extend_from_slice(data.as_bytes());
        self.finish();
    }

    /// The bytes, and where each event ends.
    pub(crate) fn into_parts(self) -> (Bytes, Vec<usize>) {
        (Bytes::from(self.buffer), self.ends)
    }

    fn begin(&mut self, kind: Option<&str>) {
        if self.style.comments {
            self.line(":", " a comment");
            self.line("event", "no.data");
            self.end_line();
        }
        if let (Some(kind), false) = (kind, self.style.data_only) {
            self.line("event", kind);
        }
        self.buffer.extend_from_slice(if self.style.tight { b"data:" } else { b"data: " });
    }

    fn line(&mut self, name: &str, value: &str) {
        self.buffer.extend_from_slice(name.as_bytes());
        if name != ":" {
            self.buffer.extend_from_slice(if self.style.tight { b":" } else { b": " });
        }
        self.buffer.extend_from_slice(value.as_bytes());
        self.end_line();
    }

    fn finish(&mut self) {
        self.end_line();
        self.end_line();
        self.ends.push(self.buffer.len());
    }

    fn end_line(&mut self) {
        self.buffer.extend_from_slice(match self.style.line_end {
            LineEnd::Lf => b"\n",
            LineEnd::CrLf => b"\r\n",
            LineEnd::Cr => b"\r",
        });
    }
}

/// The fields of an event that is being written.
pub(crate) struct Fields<'a> {
    buffer: &'a mut Vec<u8>,
    is_first: bool,
}

impl Fields<'_> {
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        write_text(self.buffer, value);
    }

    pub(crate) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        let mut digits = [0_u8; 20];
        let (mut rest, mut at) = (value, digits.len());
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.buffer.extend_from_slice(&digits[at..]);
    }

    pub(crate) fn value(&mut self, name: &'static str, value: &Value) {
        self.name(name);
        self.buffer.extend_from_slice(value.to_string().as_bytes());
    }

    fn name(&mut self, name: &'static str) {
        if !self.is_first {
            self.buffer.push(b',');
        }
        self.is_first = false;
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }
}

/// Writes a JSON string. By hand, because it is the hot path of a long stream and cannot fail.
fn write_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        buffer.extend_from_slice(&text.as_bytes()[from..at]);
        from = at + 1;
        match byte {
            b'"' => buffer.extend_from_slice(b"\\\""),
            b'\\' => buffer.extend_from_slice(b"\\\\"),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            _ => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                buffer.extend_from_slice(b"\\u00");
                buffer.push(digit(byte >> 4));
                buffer.push(digit(byte & 15));
            }
        }
    }
    buffer.extend_from_slice(&text.as_bytes()[from..]);
    buffer.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_as_json() {
        let text = "\u{0}\u{1f}\"\\\n\t\r é漢😀\u{7f}\u{2028}";
        let mut buffer = Vec::new();
        write_text(&mut buffer, text);
        assert_eq!(serde_json::from_slice::<String>(&buffer).unwrap(), text);
    }

    #[test]
    fn an_event_is_one_json_object_with_type_and_number() {
        let mut events = Events::new(Style::default(), 0);
        events.event("a.first", |_| {});
        events.event("a.second", |fields| fields.number("index", 1234));
        let (bytes, ends) = events.into_parts();
        assert_eq!(
            std::str::from_utf8(&bytes[ends[0]..]).unwrap(),
            "event: a.second\ndata: {\"type\":\"a.second\",\"sequence_number\":1,\"index\":1234}\n\n"
        );
    }
}
