//! What a command printed, in bounds: the head and the tail of it. Knows nothing of where it came from.

use std::collections::VecDeque;

/// Bytes that are kept of the head, and of the tail.
const HEAD_BYTES: usize = 8 * 1024;
const TAIL_BYTES: usize = 24 * 1024;

/// What was printed.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Heard {
    /// Adds what came next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        let (head, tail) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(tail);
        let over = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over);
        self.left_out += over as u64;
    }

    /// As text, with what was left out told.
    pub(crate) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.left_out == 0 {
            let all: Vec<u8> = self.head.iter().copied().chain(tail).collect();
            return String::from_utf8_lossy(&all).into_owned();
        }
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        format!("{head}\n… {} bytes left out …\n{tail}", self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_keeps_its_head_and_its_tail() {
        let mut heard = Heard::default();
        heard.push("é".as_bytes());
        assert_eq!(heard.text(), "é");
        for _ in 0..100 {
            heard.push(&[b'x'; 1000]);
        }
        heard.push(b"end");
        let text = heard.text();
        assert!(text.starts_with("éxx") && text.ends_with("xend"));
        assert!(text.contains(&format!("{} bytes left out", 100_005 - HEAD_BYTES - TAIL_BYTES)));
    }
}
