//! What the daemon says while a command runs: messages of one length, so that nobody has to look for their ends.
//! Knows nothing of why.

/// How many bytes an order has.
pub const ORDER_BYTES: usize = 14;

/// What a helper is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send SIGTERM to the command.
    Terminate,
    /// Send SIGINT to the command's process group.
    Interrupt,
    /// What becomes of an [`Execution`](crate::report::Execution).
    Decide {
        /// Its id.
        id: u64,
        /// What becomes of it.
        verdict: Verdict,
    },
}

/// What becomes of a program that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, in the sandbox.
    Inside,
    /// It does not run: `EACCES`.
    Refuse,
    /// The daemon has run it; the process that wanted to become it ends with this code.
    Exit(i32),
}

impl Order {
    /// As it is sent.
    #[must_use]
    pub fn encode(self) -> [u8; ORDER_BYTES] {
        let (kind, id, code) = match self {
            Self::Terminate => (b'T', 0, 0),
            Self::Interrupt => (b'C', 0, 0),
            Self::Decide { id, verdict: Verdict::Inside } => (b'I', id, 0),
            Self::Decide { id, verdict: Verdict::Refuse } => (b'R', id, 0),
            Self::Decide { id, verdict: Verdict::Exit(code) } => (b'E', id, code),
        };
        let mut bytes = [0; ORDER_BYTES];
        bytes[0] = kind;
        bytes[1..9].copy_from_slice(&id.to_le_bytes());
        bytes[9..13].copy_from_slice(&code.to_le_bytes());
        bytes
    }

    /// What was sent; none if this helper does not know it.
    #[must_use]
    pub fn decode(bytes: [u8; ORDER_BYTES]) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g, h, code @ .., 0] = bytes else { return None };
        let id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let verdict = match kind {
            b'T' => return Some(Self::Terminate),
            b'C' => return Some(Self::Interrupt),
            b'I' => Verdict::Inside,
            b'R' => Verdict::Refuse,
            b'E' => Verdict::Exit(i32::from_le_bytes(code)),
            _ => return None,
        };
        Some(Self::Decide { id, verdict })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_and_others_are_none() {
        let verdicts = [Verdict::Inside, Verdict::Refuse, Verdict::Exit(-7)];
        let decided = verdicts.map(|verdict| Order::Decide { id: u64::MAX - 5, verdict });
        for order in decided.into_iter().chain([Order::Terminate, Order::Interrupt]) {
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode([b'?'; ORDER_BYTES]), None);
    }
}
