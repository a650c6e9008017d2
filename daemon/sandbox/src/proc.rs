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
    /// Whether it is just becoming another program: it has memory, and no environment in it yet. So it seems of other
    /// users' too, of which the kernel does not tell.
    pub(crate) is_becoming: bool,
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

/// The variables that a process was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// These.
    Of(Vec<Vec<u8>>),
    /// They are not there yet: it is just becoming another program.
    Unmade,
    /// There is no such process, or it is another user's.
    Unseen,
}

/// The variables that a process was started with.
pub(crate) fn environment(pid: i32) -> Environment {
    let read = || fs::read(format!("/proc/{pid}/environ"));
    let of = |text: Vec<u8>| Environment::Of(text.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect());
    match read() {
        Err(_) => Environment::Unseen,
        Ok(text) if !text.is_empty() => of(text),
        Ok(_) if stat(pid).is_some_and(|stat| stat.is_becoming) => Environment::Unmade,
        // It had none when it was looked at first, and may have by now.
        Ok(_) => read().map_or(Environment::Unseen, of),
    }
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
    // The 23rd and the 51st: how much memory it has, and where its environment ends there.
    let memory = fields.next().and_then(|bytes| bytes.parse::<u64>().ok());
    let end = fields.nth(27).and_then(|address| address.parse::<u64>().ok());
    let is_becoming = memory.is_some_and(|bytes| bytes > 0) && end == Some(0);
    Some(Stat { state, parent, started, is_becoming })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let line = b"17 (a) S 9 (\xff) T 4 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8021 11 12";
        let expected = Stat { state: b'T', parent: 4, started: 8021, is_becoming: false };
        assert_eq!(parse(line), Some(expected));
        for (memory, end, expected) in [("4096", "0", true), ("4096", "77", false), ("0", "0", false)] {
            let between = " 0".repeat(27);
            let line =
                format!("17 (a) R 4 17 17 0 -1 9 1 2 3 4 5 6 7 8 20 0 1 0 8021 {memory}{between} {end} 0");
            let stat = parse(line.as_bytes()).expect("a line");
            assert_eq!(stat.is_becoming, expected, "{memory} {end}");
        }
        assert_eq!(parse(b"17 (cat) S 4 17"), None);
        assert_eq!(parse(b"17 (cat"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id().cast_signed();
        assert!(stat(own).is_some_and(|stat| !stat.has_ended() && stat.started > 0));
        assert!(all().contains_key(&own));
        assert!(name(own).is_some_and(|name| !name.is_empty()));
        assert!(matches!(environment(own), Environment::Of(_)));
        assert_eq!(environment(i32::MAX), Environment::Unseen);
    }
}
