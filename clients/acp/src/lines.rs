//! Lines of a stream, bounded: a line that is too long is skipped, and told.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A line, or what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// It was longer than the limit, and is gone.
    TooLong,
}

/// Reads lines.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    begun: Vec<u8>,
    is_too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::new(reader), limit, begun: Vec::new(), is_too_long: false }
    }

    /// The next line; `None` at the end. A last line without an end counts. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let piece = self.reader.fill_buf().await?;
            if piece.is_empty() {
                let is_nothing = self.begun.is_empty() && !self.is_too_long;
                return Ok((!is_nothing).then(|| self.take()));
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let text = &piece[..end.unwrap_or(piece.len())];
            if self.begun.len() + text.len() > self.limit {
                self.is_too_long = true;
                self.begun = Vec::new();
            } else if !self.is_too_long {
                self.begun.extend_from_slice(text);
            }
            let used = text.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let text = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_too_long) { Line::TooLong } else { Line::Whole(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_and_the_next_one_is_whole() {
        let mut lines = Lines::new(&b"ab\n123456\n\nlast"[..], 4);
        let whole = |text: &str| Some(Line::Whole(text.as_bytes().to_vec()));
        assert_eq!(lines.next().await.unwrap(), whole("ab"));
        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong));
        assert_eq!(lines.next().await.unwrap(), whole(""));
        assert_eq!(lines.next().await.unwrap(), whole("last"));
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
