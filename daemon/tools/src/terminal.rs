//! The terminal that a command may get: how large it is, and what the command is told of it. Knows nothing of processes.

use std::ffi::OsString;

use sandbox::TerminalSize;
use schemars::JsonSchema;
use serde::Deserialize;

/// Wide enough that programs need not wrap their lines.
pub(crate) const USUAL: TerminalSize = TerminalSize { columns: 120, rows: 40 };

/// Programs keep a screen of it in memory.
const MAX_SIDE: u16 = 1000;

/// What programs believe to be in front of. All of them know it, and what they send to it is taken out of what is shown.
const KIND: &str = "xterm-256color";

/// A size as the model says it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    columns: u16,
    rows: u16,
}

impl Size {
    /// The size, if it is one.
    pub(crate) fn read(self) -> Result<TerminalSize, String> {
        let Self { columns, rows } = self;
        let is_size = [columns, rows].iter().all(|side| (1..=MAX_SIDE).contains(side));
        let size = is_size.then_some(TerminalSize { columns, rows });
        size.ok_or_else(|| format!("`size` is {columns} x {rows}; each may be 1 to {MAX_SIDE}"))
    }
}

/// The environment of a command at a terminal: the client's own is another one.
pub(crate) fn environment(environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let is_of_a_terminal = |name: &OsString| ["TERM", "COLUMNS", "LINES"].iter().any(|it| name == it);
    let others = environment.iter().filter(|(name, _)| !is_of_a_terminal(name)).cloned();
    others.chain([("TERM".into(), KIND.into())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_the_client_is_not_told_of() {
        let before = [("TERM", "dumb"), ("A", "b"), ("COLUMNS", "7")];
        let before = before.map(|(name, value)| (name.into(), value.into()));
        let after = [("A", "b"), ("TERM", KIND)].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(environment(&before), after);
    }

    #[test]
    fn a_size_has_bounds() {
        for (columns, rows, is_size) in [(1, 1, true), (1000, 40, true), (0, 9, false), (80, 1001, false)] {
            assert_eq!(Size { columns, rows }.read().is_ok(), is_size, "{columns} x {rows}");
        }
    }
}
