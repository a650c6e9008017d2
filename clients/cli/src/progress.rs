//! How far something is: a line that grows at a terminal, a line now and then in a file.

use crate::output::Output;

/// Letters of a bar.
const WIDTH: u64 = 24;
/// Percent between two lines where nobody sees a bar.
const STEP: u64 = 10;
/// The longest status that stands beside a bar.
const MAX_STATUS: usize = 40;

/// A bar on standard error.
pub(crate) struct Bar {
    output: Output,
    /// Whether a line can be written over.
    is_drawn: bool,
    /// Whether there is one that must be ended.
    is_open: bool,
    /// What was told last where lines are written: the status, and tens of percent.
    told: Option<(String, u64)>,
}

impl Bar {
    /// Nothing is shown yet.
    pub(crate) fn new(output: Output) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Self { output, is_drawn: output.is_err_terminal && !is_dumb, is_open: false, told: None }
    }

    /// Shows how far it is.
    pub(crate) fn show(&mut self, status: &str, completed: Option<u64>, total: Option<u64>) {
        let status = view::escape::short_line(status, MAX_STATUS);
        let part = completed.zip(total.filter(|total| *total > 0));
        let percent = part.map(|(completed, total)| percent(completed, total));
        let amount = part.map(|(completed, total)| format!("{} of {}", size(completed), size(total)));
        if self.is_drawn {
            let line = match (percent, amount) {
                (Some(percent), Some(amount)) => {
                    format!("{} {percent:3} %  {amount}  {status}", bar(percent))
                }
                _ => status,
            };
            // Back to the line's begin, and what stood there longer is wiped away.
            self.output.note_part(&format!("\r{line}\x1b[K"));
            self.is_open = true;
            return;
        }
        let step = percent.unwrap_or(0) / STEP;
        let now = (status, step);
        if self.told.as_ref() != Some(&now) {
            let amount = amount.map(|amount| format!(": {amount}")).unwrap_or_default();
            self.output.note(format_args!("{}{amount}", now.0));
            self.told = Some(now);
        }
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        if self.is_open {
            self.output.note("");
            self.is_open = false;
        }
    }
}

/// A size, for a person.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit);
        }
    }
    format!("{bytes} B")
}

/// From 0 to 100, whatever a server says.
fn percent(completed: u64, total: u64) -> u64 {
    let percent = u128::from(completed.min(total)) * 100 / u128::from(total.max(1));
    u64::try_from(percent).unwrap_or(100)
}

fn bar(percent: u64) -> String {
    let full = percent.min(100) * WIDTH / 100;
    let part = |letter: &str, count: u64| letter.repeat(usize::try_from(count).unwrap_or(0));
    format!("[{}{}]", part("#", full), part("-", WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_told_whatever_a_server_says() {
        for (bytes, wanted) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (5_225_388_164, "5.2 GB"),
            (u64::MAX, "18446744073.7 GB"),
        ] {
            assert_eq!(size(bytes), wanted);
        }
        for (completed, total, wanted) in
            [(0, 10, 0), (5, 10, 50), (10, 10, 100), (11, 10, 100), (u64::MAX, u64::MAX, 100)]
        {
            assert_eq!(percent(completed, total), wanted);
        }
        assert_eq!(bar(0).len(), bar(100).len());
        assert_eq!(bar(50), format!("[{}{}]", "#".repeat(12), "-".repeat(12)));
    }
}
