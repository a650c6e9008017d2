//! What `/proc` says of processes. Knows nothing of helpers.

use std::collections::BTreeMap;
use std::fs;

/// What `/proc/PID/stat` says, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R`, `S`, `T` and so on (proc_pid_stat(5)).
    pub(crate) state: u8,
    pub(crate) parent: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Stat {
    /// Whether it runs nothing any more, and only waits to be reaped.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// A process; none if there is none of that number.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes.
pub(crate) fn all() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// The name that a process was started under: the first of its arguments.
pub(crate) fn name(pid: i32) -> Option<Vec<u8>> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    arguments.split(|&byte| byte == 0).next().map(<[u8]>::to_vec)
}

/// The variables that a process was started with; none for those of other users.
pub(crate) fn environment(pid: i32) -> Vec<Vec<u8>> {
    let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    variables.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

/// The second field is the name, in parentheses, and may hold anything.
fn parse(stat: &[u8]) -> Option<Stat> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    // The 22nd of all.
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let line = b"17 (a) S 9 (\xff) T 4 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8021 11 12";
        assert_eq!(parse(line), Some(Stat { state: b'T', parent: 4, started: 8021 }));
        assert_eq!(parse(b"17 (cat) S 4 17"), None);
        assert_eq!(parse(b"17 (cat"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id().cast_signed();
        assert!(stat(own).is_some_and(|stat| !stat.has_ended() && stat.started > 0));
        assert!(all().contains_key(&own));
        assert!(name(own).is_some_and(|name| !name.is_empty()));
    }
}
