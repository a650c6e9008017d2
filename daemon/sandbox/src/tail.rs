//! The end of what a program says, which tells why it ended. Bounded, whatever it says.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The last bytes of what was pushed.
#[derive(Debug)]
pub struct Tail {
    kept: Mutex<VecDeque<u8>>,
    most: usize,
}

impl Tail {
    /// Keeps so many bytes.
    #[must_use]
    pub fn of_bytes(most: usize) -> Self {
        Self { kept: Mutex::default(), most }
    }

    /// Adds what was said.
    pub fn push(&self, bytes: &[u8]) {
        // Poisoned, it is still a queue of bytes.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(self.most);
        kept.drain(..excess);
    }

    /// What is kept, as it was said: nothing in it is harmless yet.
    #[must_use]
    pub fn text(&self) -> String {
        let kept: Vec<u8> =
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        String::from_utf8_lossy(&kept).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept() {
        let tail = Tail::of_bytes(5);
        assert_eq!(tail.text(), "");
        for piece in ["one ", "two ", "three"] {
            tail.push(piece.as_bytes());
        }
        assert_eq!(tail.text(), "three");
    }
}
