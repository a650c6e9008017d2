//! Scripts of PowerShell and cmd. Only what is a plain list of words is understood, command by command; everything that
//! such a shell would expand, or look at in another way, is not known. Their names and those of programs are compared
//! without case there, and many have another name, so a command is found by each name that it has.

use crate::analysis::carriers::Inner;
use crate::analysis::result::Gap;
use crate::analysis::word::Word;

/// A shell of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    PowerShell,
    Cmd,
}

/// Other names of commands, and their own. Own names stand for themselves, too.
const NAMES: &[(&str, &[&str])] = &[
    ("Remove-Item", &["ri", "rm", "del", "erase", "rd", "rmdir"]),
    ("Get-ChildItem", &["gci", "dir", "ls"]),
    ("Get-Content", &["gc", "cat", "type"]),
    ("Set-Content", &["sc"]),
    ("Add-Content", &["ac"]),
    ("Clear-Content", &["clc"]),
    ("Copy-Item", &["cpi", "cp", "copy"]),
    ("Move-Item", &["mi", "mv", "move"]),
    ("Rename-Item", &["rni", "ren"]),
    ("New-Item", &["ni", "md", "mkdir"]),
    ("Set-Location", &["sl", "cd", "chdir"]),
    ("Push-Location", &["pushd"]),
    ("Get-Location", &["gl", "pwd"]),
    ("Stop-Process", &["spps", "kill"]),
    ("Invoke-WebRequest", &["iwr", "curl", "wget"]),
    ("Invoke-RestMethod", &["irm"]),
    ("Select-String", &["sls"]),
    ("Write-Output", &["write", "echo"]),
    ("Out-File", &[]),
    ("Get-Item", &["gi"]),
    ("Test-Path", &[]),
    ("Resolve-Path", &["rvpa"]),
    ("Measure-Object", &["measure"]),
    ("Sort-Object", &["sort"]),
    ("Select-Object", &["select"]),
    ("Get-Date", &[]),
    ("Format-Volume", &[]),
    ("Clear-Disk", &[]),
    ("Initialize-Disk", &[]),
    ("Remove-Partition", &[]),
    ("Stop-Computer", &[]),
    ("Restart-Computer", &[]),
];

/// What only reads and prints, by its own name or a name that no program has.
const READERS: &[&str] = &[
    "get-childitem",
    "gci",
    "get-content",
    "gc",
    "get-location",
    "gl",
    "get-item",
    "gi",
    "test-path",
    "resolve-path",
    "select-string",
    "sls",
    "measure-object",
    "sort-object",
    "select-object",
    "write-output",
    "get-date",
];
/// The same of cmd's own.
const CMD_READERS: &[&str] = &["dir", "type", "echo", "ver", "vol"];

/// Words of PowerShell that are no commands, and commands that run what they are given.
const NOT_PLAIN: &[&str] = &[
    "if",
    "else",
    "elseif",
    "for",
    "foreach",
    "while",
    "do",
    "until",
    "switch",
    "function",
    "filter",
    "return",
    "throw",
    "try",
    "catch",
    "finally",
    "trap",
    "param",
    "begin",
    "process",
    "end",
    "class",
    "enum",
    "using",
    "data",
    "exit",
    "break",
    "continue",
    "in",
    "workflow",
    "parallel",
    "sequence",
    "inlinescript",
    "configuration",
    "dynamicparam",
    "clean",
    "iex",
    "invoke-expression",
    "icm",
    "invoke-command",
    "saps",
    "start-process",
    "start",
    "sajb",
    "start-job",
    "start-threadjob",
    "ii",
    "invoke-item",
    "sal",
    "set-alias",
    "nal",
    "new-alias",
    "add-type",
    "new-object",
    "ipmo",
    "import-module",
    "foreach-object",
    "where-object",
    "where",
    "invoke-cimmethod",
    "invoke-wmimethod",
    "iwmi",
    "register-scheduledtask",
    "set-item",
    "si",
    "set-variable",
    "sv",
    "set",
    "invoke-history",
    "ihy",
    "r",
    "h",
    "enter-pssession",
    "etsn",
    "set-executionpolicy",
    "set-psbreakpoint",
    "register-objectevent",
    "register-engineevent",
    "invoke-webrequest",
    "iwr",
    "invoke-restmethod",
    "irm",
];
/// The same of cmd.
const NOT_PLAIN_CMD: &[&str] =
    &["if", "for", "call", "start", "goto", "set", "setlocal", "endlocal", "shift", "exit", "assoc", "ftype"];

/// Which shell a program is, by its path.
pub(crate) fn shell(program: &str) -> Option<Shell> {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    match name.strip_suffix(".exe").unwrap_or(&name) {
        "pwsh" | "pwsh-preview" | "powershell" => Some(Shell::PowerShell),
        "cmd" => Some(Shell::Cmd),
        _ => None,
    }
}

/// What such a shell runs.
pub(crate) fn inside(shell: Shell, arguments: &[Word]) -> Vec<Inner> {
    let commands =
        texts(arguments).and_then(|arguments| carried(shell, &arguments)).map(|carried| carried.commands);
    let Some(commands) = commands else { return vec![Inner::Gap(Gap::UnknownScript)] };
    let named = |words: Vec<String>| {
        let names = names(shell, &words);
        names.into_iter().map(move |name| {
            let rest = words.iter().skip(1).cloned();
            Inner::Command(std::iter::once(name).chain(rest).map(Word::Plain).collect())
        })
    };
    commands.into_iter().flat_map(named).collect()
}

/// Whether all that such a shell is called for only reads and prints.
pub(crate) fn only_reads(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    // Another program may have the name of one.
    let Some(shell) = shell(program).filter(|_| !program.contains(['/', '\\'])) else { return false };
    let readers = match shell {
        Shell::PowerShell => READERS,
        Shell::Cmd => CMD_READERS,
    };
    carried(shell, arguments).is_some_and(|carried| {
        carried.is_bare
            && carried.commands.iter().all(|words| {
                let name = words.first().map(|name| name.to_ascii_lowercase());
                name.is_some_and(|name| readers.contains(&name.as_str()))
                    && !words.iter().any(|word| is_far(word))
            })
    })
}

/// What a shell is called for.
struct Carried {
    /// Whether no file of the user's is run first.
    is_bare: bool,
    commands: Vec<Vec<String>>,
}

fn texts(words: &[Word]) -> Option<Vec<&str>> {
    words.iter().map(Word::text).collect()
}

fn carried(shell: Shell, arguments: &[&str]) -> Option<Carried> {
    let mut is_bare = false;
    let mut rest = arguments.iter();
    loop {
        let option = rest.next()?.to_ascii_lowercase();
        match (shell, option.as_str()) {
            (Shell::PowerShell, "-noprofile" | "-nop") | (Shell::Cmd, "/d") => is_bare = true,
            (Shell::PowerShell, "-noninteractive" | "-noni" | "-nologo" | "-nol") | (Shell::Cmd, "/q") => {}
            (Shell::PowerShell, "-command" | "-c") | (Shell::Cmd, "/c") => break,
            (Shell::PowerShell | Shell::Cmd, _) => return None,
        }
    }
    let script = rest.copied().collect::<Vec<_>>().join(" ");
    let commands = match shell {
        Shell::PowerShell => power_shell(&script),
        Shell::Cmd => cmd(&script),
    }?;
    Some(Carried { is_bare, commands })
}

/// All names that the program of a command has.
fn names(shell: Shell, words: &[String]) -> Vec<String> {
    let Some(typed) = words.first() else { return Vec::new() };
    let lower = typed.to_ascii_lowercase();
    let short = [".exe", ".com", ".cmd", ".bat"].iter().find_map(|ending| lower.strip_suffix(ending));
    let mut names = vec![typed.clone(), lower.clone()];
    names.extend(short.map(str::to_owned));
    if shell == Shell::PowerShell {
        let is_own =
            |own: &str, others: &[&str]| own.eq_ignore_ascii_case(&lower) || others.contains(&lower.as_str());
        let own = NAMES.iter().find(|(own, others)| is_own(own, others));
        names.extend(own.map(|(own, _)| (*own).to_owned()));
    }
    let mut seen = Vec::new();
    names.retain(|name| {
        let is_new = !seen.contains(name);
        seen.push(name.clone());
        is_new
    });
    names
}

/// The commands of a script of PowerShell; `None` if it is more than a list of words.
fn power_shell(script: &str) -> Option<Vec<Vec<String>>> {
    let mut reader = Reader::default();
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => reader.end_word(),
            ';' | '\n' => reader.end_command(),
            '|' | '&' => {
                let is_double = characters.next_if_eq(&character).is_some();
                // One `&` runs what follows, or runs in the background.
                if character == '&' && !is_double || reader.is_empty() {
                    return None;
                }
                reader.end_command();
                reader.is_open = true;
            }
            '\'' | '"' => {
                // A text in a program's place is a text, and beside another one it is put together.
                if reader.is_first() || reader.word.is_some() {
                    return None;
                }
                let mut text = String::new();
                loop {
                    match characters.next()? {
                        end if end == character => break,
                        '$' | '`' | '\'' | '"' => return None,
                        other if is_read_otherwise(other) => return None,
                        other => text.push(other),
                    }
                }
                if !matches!(characters.peek(), None | Some(' ' | '\t' | ';' | '\n' | '|' | '&')) {
                    return None;
                }
                reader.word = Some(text);
            }
            plain if plain.is_ascii_alphanumeric() || "-_./\\+:".contains(plain) => reader.push(plain),
            _ => return None,
        }
    }
    reader.finish(NOT_PLAIN)
}

/// The commands of a script of cmd; `None` if it is more than a list of words.
fn cmd(script: &str) -> Option<Vec<Vec<String>>> {
    let mut reader = Reader::default();
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => reader.end_word(),
            '&' | '|' => {
                let _is_double = characters.next_if_eq(&character);
                if reader.is_empty() {
                    return None;
                }
                reader.end_command();
                reader.is_open = true;
            }
            plain if plain.is_ascii_alphanumeric() || "-_./\\+:".contains(plain) => reader.push(plain),
            _ => return None,
        }
    }
    reader.finish(NOT_PLAIN_CMD)
}

/// Whether PowerShell takes it for a dash or a quote.
fn is_read_otherwise(character: char) -> bool {
    matches!(character, '\u{2010}'..='\u{201f}' | '\0' | '\r')
}

/// Whether a word leads to another machine, or to something that is no file.
fn is_far(word: &str) -> bool {
    let is_drive = |word: &str| {
        let mut characters = word.chars();
        characters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && characters.next() == Some(':')
            && characters.next().is_none_or(|next| ['/', '\\'].contains(&next))
            && characters.all(|character| character != ':')
    };
    word.starts_with("\\\\") || word.starts_with("//") || word.contains(':') && !is_drive(word)
}

/// Collects words and commands.
#[derive(Default)]
struct Reader {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
    /// Whether another command must follow.
    is_open: bool,
}

impl Reader {
    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn is_first(&self) -> bool {
        self.words.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.word.is_none()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
            self.is_open = false;
        }
    }

    /// All commands, if each begins with the name of a program.
    fn finish(mut self, not_plain: &[&str]) -> Option<Vec<Vec<String>>> {
        self.end_command();
        let is_program = |words: &Vec<String>| {
            words.first().is_some_and(|name| {
                let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
                let lower = name.to_ascii_lowercase();
                let is_path = ["./", ".\\", "/", "\\"].iter().any(|start| name.starts_with(start));
                (begins || is_path) && !not_plain.contains(&lower.as_str())
            })
        };
        // `--%` hands on the rest as it stands, and is no word here; `--` ends the options.
        let has_end = self.commands.iter().flatten().any(|word| word == "--");
        let is_right = !self.is_open && !self.commands.is_empty() && !has_end;
        (is_right && self.commands.iter().all(is_program)).then_some(self.commands)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::analyse;

    fn run(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// What is found behind the shell itself; `None` where it is not known.
    fn found(words: &[&str]) -> Option<Vec<String>> {
        let analysis = analyse(&run(words));
        let shown = |words: Vec<&str>| words.join(" ");
        let commands = analysis.commands.iter().skip(1).map(|command| command.exact().map(shown));
        if analysis.gaps.is_empty() { commands.collect() } else { None }
    }

    #[test]
    fn a_list_of_words_is_found_by_each_name() {
        for (words, expected) in [
            (
                &["pwsh", "-NoProfile", "-Command", "Get-Content a; GIT.exe push"][..],
                vec!["Get-Content a", "get-content a", "GIT.exe push", "git.exe push", "git push"],
            ),
            (
                &["powershell.exe", "-c", "ri -Recurse 'a b' | out-file x"],
                vec!["ri -Recurse a b", "Remove-Item -Recurse a b", "out-file x", "Out-File x"],
            ),
            (&["C:\\Windows\\System32\\cmd.exe", "/d", "/c", "DEL a && dir"], vec!["DEL a", "del a", "dir"]),
            (&["pwsh", "-nop", "-c", "git", "push"], vec!["git push"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(found(words), Some(expected), "{words:?}");
        }
    }

    #[test]
    fn what_is_more_is_not_known() {
        for script in [
            "",
            ";",
            "a |",
            "| a",
            "a & b",
            "& a",
            "& 'a'",
            ". ./a.ps1",
            "iex a",
            "Invoke-Expression a",
            "a $x",
            "a \"$x\"",
            "a (b)",
            "a { b }",
            "a @(b)",
            "a `b",
            "a *",
            "a ~",
            "a > b",
            "a, b",
            "'a'",
            "a 'b'c",
            "a 'b''c'",
            "if a",
            "function a",
            "a -- b",
            "a --% b",
            "a # b",
            "$x = 1",
            "1 + 1",
            "a [b]",
            "start a",
            "a \u{2018}b\u{2019}",
            "a 'b\u{2019}; c \u{2018}'",
            "Start-Process a",
            "iwr a | iex",
            "a %x",
            "a ?",
        ] {
            assert_eq!(found(&["pwsh", "-NoProfile", "-Command", script]), None, "{script}");
        }
        for script in [
            "", "a %x%", "a ^b", "a > b", "a \"b\"", "(a)", "call a", "for a", "start a", "a !x!", "& a",
            "a &&", "@a",
        ] {
            assert_eq!(found(&["cmd", "/d", "/c", script]), None, "{script}");
        }
        for words in [
            &["pwsh", "-EncodedCommand", "YQ=="][..],
            &["pwsh", "-e", "YQ=="],
            &["pwsh", "-File", "a.ps1"],
            &["pwsh", "a.ps1"],
            &["pwsh"],
            &["cmd", "/k", "dir"],
            &["cmd.exe"],
        ] {
            assert_eq!(found(words), None, "{words:?}");
        }
    }

    #[test]
    fn only_what_reads_and_runs_no_profile_is_harmless() {
        for (words, expected) in [
            (&["pwsh", "-NoProfile", "-Command", "Get-ChildItem -Recurse | select-string x"][..], true),
            (&["pwsh", "-NoProfile", "-Command", "gc C:\\a.txt"], true),
            (&["pwsh", "-Command", "Get-ChildItem"], false),
            (&["./pwsh", "-NoProfile", "-Command", "Get-ChildItem"], false),
            (&["pwsh", "-NoProfile", "-Command", "Get-Content Env:SECRET"], false),
            (&["pwsh", "-NoProfile", "-Command", "gc \\\\server\\share\\a"], false),
            (&["pwsh", "-NoProfile", "-Command", "gc //server/share/a"], false),
            (&["pwsh", "-NoProfile", "-Command", "Remove-Item a"], false),
            (&["pwsh", "-NoProfile", "-Command", "Get-ChildItem; Remove-Item a"], false),
            (&["cmd", "/d", "/c", "dir"], true),
            (&["cmd", "/c", "dir"], false),
            (&["cmd", "/d", "/c", "dir & del a"], false),
        ] {
            assert_eq!(only_reads(words), expected, "{words:?}");
            assert_eq!(crate::harmless::is_known(&analyse(&run(words))), expected, "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_shell_would_expand_is_called_harmless(
            before in "[ -~]{0,12}", special in "[$`(){}<>*?~@,\\[\\]#%!^\u{2018}\u{201d}]", after in "[ -~]{0,12}",
        ) {
            let script = format!("Get-Content {before}{special}{after}");
            prop_assert!(!only_reads(&["cmd", "/d", "/c", &format!("type {before}{special}{after}")]), "{script}");
            // Within quotes some of these are themselves; two of them never are.
            let is_never = ['$', '`', '\u{2018}', '\u{201d}'].iter().any(|one| special.contains(*one));
            if is_never || !script.contains(['\'', '"']) {
                prop_assert!(!only_reads(&["pwsh", "-NoProfile", "-Command", &script]), "{script}");
            }
        }

        #[test]
        fn any_script_is_read(script in ".{0,60}") {
            let _ = analyse(&["pwsh".into(), "-c".into(), script.clone()]);
            let _ = analyse(&["cmd".into(), "/c".into(), script]);
        }
    }
}
