//! Commands that run other commands: what is known of those. A carrier that is not understood is a gap.

use crate::analysis::options::{Behind, WRAPPERS};
use crate::analysis::result::Gap;
use crate::analysis::windows;
use crate::analysis::word::{self, Word};

/// What a command runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    /// This command.
    Command(Vec<Word>),
    /// This script, by a shell.
    Script(String),
    /// Something that is not known.
    Gap(Gap),
}

/// Shells whose language is read.
const SHELLS: &[&str] = &["bash", "sh", "zsh", "dash", "ksh", "mksh", "ash", "rbash", "rzsh"];
/// Shells whose language is not.
const OTHER_SHELLS: &[&str] = &["fish", "csh", "tcsh", "nu", "elvish", "xonsh"];
/// They run what stands somewhere among their arguments, or code of their own that can run commands.
const OPAQUE: &[&str] = &[
    "ltrace",
    "gdb",
    "lldb",
    "valgrind",
    "perf",
    "nsenter",
    "unshare",
    "numactl",
    "prlimit",
    "systemd-run",
    "bwrap",
    "firejail",
    "dbus-run-session",
    "dbus-launch",
    "ssh-agent",
    "xvfb-run",
    "entr",
    "watch",
    "parallel",
    "ssh",
    "su",
    "runuser",
    "flock",
    "script",
    "expect",
    "rlwrap",
    "unbuffer",
    "torsocks",
    "proxychains",
    "proxychains4",
    "direnv",
    "nix",
    "nix-shell",
    "mise",
    "asdf",
    "uv",
    "poetry",
    "pipenv",
    "bundle",
    "npx",
    "bunx",
    "pnpx",
    "fakeroot",
    "at",
    "batch",
    "crontab",
    "vi",
    "vim",
    "nvim",
    "ex",
    "view",
    "ed",
    "emacs",
    "less",
    "more",
    "man",
    "tmux",
    "screen",
    "start-stop-daemon",
    "daemonize",
    "setarch",
    "linux32",
    "linux64",
    "capsh",
    "setpriv",
    "pkexec",
    "run-parts",
    "ld.so",
    "socat",
    "nc",
    "ncat",
    "netcat",
    "hyperfine",
    "faketime",
    "choom",
    "uclampset",
    "cpulimit",
    "cgexec",
    "runcon",
    "enable",
    "bind",
    "complete",
    "fc",
    "mapfile",
    "readarray",
    "rsync",
    "scp",
    "sftp",
];
/// Interpreters that take code as an argument or from their input.
const INTERPRETERS: &[&str] = &[
    "python",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "php",
    "lua",
    "luajit",
    "deno",
    "bun",
    "tclsh",
    "Rscript",
    "osascript",
    "guile",
    "sqlite3",
    "psql",
    "mysql",
    "jshell",
    "groovy",
    "elixir",
    "erl",
    "julia",
    "swift",
    "irb",
];
/// Options and their like that make some program run another.
const TELLTALES: &[&str] = &[
    "exec",
    "command",
    "--rsh",
    "--pre",
    "system(",
    "getline",
    "checkpoint-action",
    "compress-program",
    "upload-pack",
    "receive-pack",
    "ext::",
    "hostname-bin",
    "ld_preload",
    "program=",
    "=!",
];

/// What a command runs in turn.
pub(crate) fn inside(argv: &[Word]) -> Vec<Inner> {
    let Some(program) = argv.first() else { return Vec::new() };
    let Some(name) = program.base_name() else { return vec![Inner::Gap(Gap::UnknownProgram)] };
    let arguments = argv.get(1..).unwrap_or_default();
    if SHELLS.contains(&name) {
        return vec![shell(arguments)];
    }
    if let Some(shell) = windows::shell(name) {
        return windows::inside(shell, arguments);
    }
    if OTHER_SHELLS.contains(&name) {
        return vec![Inner::Gap(Gap::UnknownScript)];
    }
    if let Some(subcommand) = name.strip_prefix("git-") {
        let direct = ["git", subcommand].map(|word| Word::Plain(word.to_owned()));
        return vec![Inner::Command(direct.into_iter().chain(arguments.iter().cloned()).collect())];
    }
    let mut found = match name {
        "eval" => vec![joined(arguments)],
        "trap" => {
            arguments.iter().find(|word| word.text() != Some("--")).map(of_script).into_iter().collect()
        }
        "alias" => arguments.iter().filter_map(alias).collect(),
        "." | "source" => arguments.first().and_then(sourced).into_iter().collect(),
        "find" => found(arguments, &["-exec", "-execdir", "-ok", "-okdir"]),
        "fd" | "fdfind" => found(arguments, &["-x", "-X", "--exec", "--exec-batch"]),
        "git" => git(argv),
        "awk" | "gawk" | "mawk" | "nawk" | "sed" | "gsed" => filter(arguments),
        "docker" | "podman" => {
            let runs = |word: &Word| matches!(word.text(), None | Some("run" | "exec"));
            if arguments.iter().any(runs) { vec![Inner::Gap(Gap::Foreign)] } else { Vec::new() }
        }
        "command" if matches!(arguments.first().and_then(Word::text), Some("-v" | "-V")) => Vec::new(),
        _ => wrapped(name, argv),
    };
    if found.is_empty() && (is_opaque(name, arguments) || has_telltale(arguments)) {
        found.push(Inner::Gap(Gap::Foreign));
    }
    found
}

/// Whether the program with these arguments runs a script that comes from its input.
pub(crate) fn reads_script(program: &str, arguments: &[Word]) -> bool {
    let is_input = |word: Option<&Word>| word.is_none_or(|word| word.text() == Some("-"));
    (SHELLS.contains(&program) && shell(arguments) == Inner::Gap(Gap::UnknownScript))
        || OTHER_SHELLS.contains(&program)
        || windows::shell(program)
            .is_some_and(|shell| windows::inside(shell, arguments).contains(&Inner::Gap(Gap::UnknownScript)))
        || (is_interpreter(program)
            && (is_input(arguments.first()) || arguments.iter().any(|word| word.text().is_none())))
        || program == "eval" && joined(arguments) == Inner::Gap(Gap::UnknownScript)
        || matches!(program, "." | "source") && arguments.first().and_then(sourced).is_some()
}

/// Whether assigning this variable can make another program run.
pub(crate) fn is_telling_variable(name: &str) -> bool {
    let parts = [
        "PAGER", "EDITOR", "COMMAND", "BROWSER", "VISUAL", "ENV", "GIT_", "LD_", "LESS", "SHELL", "RSH",
        "PS4", "OPT",
    ];
    let name = name.to_ascii_uppercase();
    parts.iter().any(|part| name.contains(part)) || name == "PATH" || name == "IFS"
}

/// The file that a command runs: a program by its path, or a script by a shell or another interpreter; none if there is
/// none, or it is looked up.
pub(crate) fn file_run(argv: &[Word]) -> Option<&Word> {
    /// They take data, and code beside it.
    const OF_DATA: [&str; 3] = ["sqlite3", "psql", "mysql"];
    let (program, arguments) = argv.split_first()?;
    let name = program.base_name().unwrap_or_default();
    if SHELLS.contains(&name) {
        return match called(arguments) {
            Called::File(file) => Some(file),
            Called::Script(_) | Called::Input => None,
        };
    }
    if OTHER_SHELLS.contains(&name) || is_interpreter(name) && !OF_DATA.contains(&name) {
        let is_option = |word: &&Word| word.text().is_some_and(|text| text.starts_with('-'));
        // Code, or the name of a module: `-c`, `-m`, `-ne`, `--eval`.
        let has_code = arguments.iter().take_while(is_option).any(|word| {
            let text = word.shown();
            text.starts_with("--eval") || text.starts_with("--print") || {
                !text.starts_with("--") && text.contains(['c', 'm', 'e', 'E', 'r', 'p'])
            }
        });
        return arguments.iter().find(|word| !is_option(word)).filter(|_| !has_code);
    }
    if matches!(name, "." | "source") {
        return arguments.first();
    }
    (program.text().is_none() || program.shown().contains('/')).then_some(program)
}

/// The folder that a wrapper goes to before it starts its command.
pub(crate) fn works_in(argv: &[Word]) -> Option<Word> {
    let name = argv.first()?.base_name().filter(|name| ["env", "sudo", "chroot"].contains(name))?;
    if name == "chroot" {
        return Some(Word::Plain("/".to_owned()));
    }
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name))?;
    let Behind::Command(start) = wrapper.behind(argv) else { return None };
    let mut options = argv.get(1..start)?.iter();
    while let Some(option) = options.next() {
        let text = option.shown();
        let value = match text.strip_prefix("--") {
            Some("chdir" | "chroot") => Some(""),
            Some(long) => long.strip_prefix("chdir=").or_else(|| long.strip_prefix("chroot=")),
            None => text.strip_prefix('-').and_then(|letters| Some(letters.split_once(['C', 'D', 'R'])?.1)),
        };
        match value {
            Some("") => return options.next().cloned(),
            Some(folder) => return Some(word::read(folder)),
            None => {}
        }
    }
    None
}

fn shell(arguments: &[Word]) -> Inner {
    match called(arguments) {
        Called::Script(script) => of_script(script),
        Called::File(file) => sourced(file).unwrap_or(Inner::Gap(Gap::Foreign)),
        Called::Input => Inner::Gap(Gap::UnknownScript),
    }
}

/// What a shell is to run.
enum Called<'a> {
    Script(&'a Word),
    File(&'a Word),
    Input,
}

fn called(arguments: &[Word]) -> Called<'_> {
    let mut has_script = false;
    let mut words = arguments.iter();
    let operand = loop {
        let Some(word) = words.next() else { break None };
        let Some(text) = word.text() else { break Some(word) };
        match text {
            "--" | "-" => break words.next(),
            "--rcfile" | "--init-file" | "--emulate" => _ = words.next(),
            long if long.starts_with("--") => {}
            short if short.len() > 1 && short.starts_with(['-', '+']) => {
                has_script |= short.starts_with('-') && short.contains('c');
                if short.contains(['o', 'O']) {
                    _ = words.next();
                }
                if short.starts_with('-') && short.contains('s') {
                    return Called::Input;
                }
            }
            _ => break Some(word),
        }
    };
    match operand {
        Some(script) if has_script => Called::Script(script),
        Some(file) => Called::File(file),
        None => Called::Input,
    }
}

fn of_script(word: &Word) -> Inner {
    word.text().map_or(Inner::Gap(Gap::UnknownScript), |text| Inner::Script(text.to_owned()))
}

fn joined(words: &[Word]) -> Inner {
    let texts: Option<Vec<&str>> = words.iter().map(Word::text).collect();
    texts.map_or(Inner::Gap(Gap::UnknownScript), |texts| Inner::Script(texts.join(" ")))
}

fn alias(word: &Word) -> Option<Inner> {
    match word {
        Word::Plain(text) => text.split_once('=').map(|(_, value)| Inner::Script(value.to_owned())),
        Word::Open { .. } => Some(Inner::Gap(Gap::UnknownScript)),
    }
}

/// A file that is run as a script: a gap if it is no file but what another command or the input gives.
fn sourced(file: &Word) -> Option<Inner> {
    let text = file.shown();
    let is_stream = text.starts_with("<(") || text.starts_with("/dev/") || text.starts_with("/proc/");
    is_stream.then_some(Inner::Gap(Gap::UnknownScript))
}

/// The commands behind `find -exec` and its like.
fn found(arguments: &[Word], starts: &[&str]) -> Vec<Inner> {
    let mut inner = Vec::new();
    if arguments.iter().any(|word| word.text().is_none()) {
        inner.push(Inner::Gap(Gap::Foreign));
    }
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if !word.text().is_some_and(|text| starts.contains(&text)) {
            continue;
        }
        let command = words
            .by_ref()
            .take_while(|word| !matches!(word.text(), Some(";" | "+")))
            .map(|word| if word.shown().contains("{}") { Word::unknown("{}") } else { word.clone() })
            .collect();
        inner.push(Inner::Command(command));
    }
    inner
}

fn git(argv: &[Word]) -> Vec<Inner> {
    let mut inner = Vec::new();
    let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&"git")) else { return inner };
    let start = match wrapper.behind(argv) {
        Behind::Command(start) => start,
        Behind::Nothing => return inner,
        Behind::Unclear => return vec![Inner::Gap(Gap::Foreign)],
    };
    if start > 1 {
        let mut direct = vec![Word::Plain("git".to_owned())];
        direct.extend(argv.iter().skip(start).cloned());
        inner.push(Inner::Command(direct));
    }
    let can_run = |word: &Word| word.text().is_none_or(configures_a_command);
    let options = argv.get(1..start).unwrap_or_default();
    if options.iter().any(can_run) {
        inner.push(Inner::Gap(Gap::Foreign));
    }
    inner.extend(options.iter().filter_map(Word::text).filter_map(git_alias));
    let rest = argv.get(start..).unwrap_or_default();
    let texts: Vec<&str> = rest.iter().map(Word::shown).collect();
    match texts.as_slice() {
        ["submodule", "foreach", behind @ ..] => {
            let options = behind.iter().take_while(|word| word.starts_with('-')).count();
            inner.push(joined(rest.get(options.saturating_add(2)..).unwrap_or_default()));
        }
        ["bisect", "run", ..] => inner.push(Inner::Command(rest.get(2..).unwrap_or_default().to_vec())),
        ["rebase" | "filter-branch" | "difftool" | "mergetool" | "for-each-repo" | "hook" | "help", ..] => {
            inner.push(Inner::Gap(Gap::Foreign));
        }
        _ => {}
    }
    inner
}

/// What an alias runs that an option defines: a script, or another command of git.
fn git_alias(option: &str) -> Option<Inner> {
    let (key, value) = option.split_once('=')?;
    let script = || value.strip_prefix('!').map_or_else(|| format!("git {value}"), str::to_owned);
    key.to_ascii_lowercase().starts_with("alias.").then(|| Inner::Script(script()))
}

/// Whether a `key=value` of git's configuration may name a command.
fn configures_a_command(text: &str) -> bool {
    let parts = [
        "alias", "pager", "command", "editor", "hook", "monitor", "helper", "textconv", "external", "driver",
        "program", "proxy", "cmd", "filter", "include", "!",
    ];
    let text = text.to_ascii_lowercase();
    text.contains('=') && parts.iter().any(|part| text.contains(part))
}

/// sed and awk: what of their small languages runs commands.
fn filter(arguments: &[Word]) -> Vec<Inner> {
    let runs = |word: &Word| match word.text() {
        Some(text) => {
            text.contains(['|', '`'])
                || text.contains("system")
                || text.contains("e ")
                || text.ends_with('e')
                || text.contains("/e")
        }
        None => true,
    };
    if arguments.iter().any(runs) { vec![Inner::Gap(Gap::Foreign)] } else { Vec::new() }
}

fn wrapped(name: &str, argv: &[Word]) -> Vec<Inner> {
    let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) else {
        return Vec::new();
    };
    match wrapper.behind(argv) {
        Behind::Nothing => Vec::new(),
        Behind::Unclear if name == "env" => {
            vec![split_string(argv).map_or(Inner::Gap(Gap::Foreign), Inner::Command)]
        }
        Behind::Unclear => vec![Inner::Gap(Gap::Foreign)],
        // `coproc NAME { a; }`
        Behind::Command(_)
            if name == "coproc" && argv.get(2).is_some_and(|word| word.text() == Some("{")) =>
        {
            vec![Inner::Command(argv.iter().skip(3).cloned().collect())]
        }
        Behind::Command(start) => {
            let mut command: Vec<Word> = argv.iter().skip(start).cloned().collect();
            if name == "xargs" {
                // What it reads becomes further words; with `-I` in the place of any of them.
                let marks = ["{}", "%", "@", "_", "I"];
                for word in &mut command {
                    if marks.contains(&word.shown()) || word.shown().contains("{}") {
                        *word = Word::unknown(word.shown());
                    }
                }
                command.push(Word::unknown("…"));
            }
            vec![Inner::Command(command)]
        }
    }
}

/// `env -S 'a b' c` is `env a b c`.
fn split_string(argv: &[Word]) -> Option<Vec<Word>> {
    let value_of = |word: &Word| {
        let text = word.text()?;
        let long = text.strip_prefix("--split-string").map(|value| value.trim_start_matches('='));
        let short = || {
            let (flags, value) = text.strip_prefix('-')?.split_once('S')?;
            flags.chars().all(|flag| "i0v".contains(flag)).then_some(value)
        };
        long.or_else(short).map(str::to_owned)
    };
    let (at, mut text) = argv.iter().enumerate().find_map(|(at, word)| Some((at, value_of(word)?)))?;
    let mut behind = argv.iter().skip(at.saturating_add(1));
    if text.is_empty() {
        behind.next()?.text()?.clone_into(&mut text);
    }
    let open = |text: String| if text.contains('$') { Word::unknown(&text) } else { Word::Plain(text) };
    let words = word::split(&text)?.into_iter().map(open);
    Some(argv.iter().take(at).cloned().chain(words).chain(behind.cloned()).collect())
}

fn is_interpreter(name: &str) -> bool {
    INTERPRETERS
        .contains(&name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.'))
}

fn is_opaque(name: &str, arguments: &[Word]) -> bool {
    let is_code = |word: &Word| word.text().is_none_or(|text| text.starts_with('-'));
    OPAQUE.contains(&name)
        || name.starts_with("ld-linux")
        || is_interpreter(name) && arguments.first().is_none_or(is_code)
}

fn has_telltale(arguments: &[Word]) -> bool {
    arguments.iter().filter_map(Word::text).any(|text| {
        let text = text.to_ascii_lowercase();
        (text.starts_with('-') || text.contains(['=', '(', ':']))
            && TELLTALES.iter().any(|telltale| text.contains(telltale))
    })
}
