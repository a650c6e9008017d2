//! Calling a person to the terminal on which standard error is seen. How a terminal is called is `tui`'s business.

use crate::output::Output;

/// How a person is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bell(tui::Bell);

impl Bell {
    /// Nobody is called.
    pub(crate) const SILENT: Self = Self(tui::Bell::Silent);

    /// For the terminal on which standard error is seen.
    pub(crate) fn of_terminal(output: Output) -> Self {
        if output.is_err_terminal { Self(tui::Bell::of_environment()) } else { Self::SILENT }
    }

    /// Calls, and says why.
    pub(crate) fn ring(self, text: &str, output: Output) {
        output.note_part(&self.0.sequence(text));
    }
}
