//! The commands that `untrusted` lets pass without a question: programs that only read and print, called by
//! their bare name, with nothing around them that a shell would expand. Everything else is not harmless;
//! that errs on the side of asking, and what passes still runs in the sandbox.

/// Programs of which no flag writes, executes or connects.
const PROGRAMS: [&str; 22] = [
    "basename", "cat", "cut", "dirname", "echo", "false", "grep", "head", "id", "ls", "nl", "paste", "pwd",
    "rev", "seq", "stat", "tr", "true", "uname", "wc", "which", "whoami",
];

/// Shells whose `-c SCRIPT` is looked into.
const SHELLS: [&str; 3] = ["bash", "sh", "zsh"];

/// Whether the argument vector is known to be harmless.
#[must_use]
pub fn is_harmless(argv: &[String]) -> bool {
    match argv {
        [shell, flag, script] if SHELLS.contains(&base(shell)) && flag == "-c" => is_harmless_script(script),
        [program, ..] => PROGRAMS.contains(&program.as_str()),
        [] => false,
    }
}

/// The name of a shell at one of the two places where Skein itself calls it.
fn base(shell: &str) -> &str {
    shell.strip_prefix("/bin/").or_else(|| shell.strip_prefix("/usr/bin/")).unwrap_or(shell)
}

fn is_harmless_script(script: &str) -> bool {
    let Some(commands) = split(script) else { return false };
    !commands.is_empty()
        && commands.iter().all(|words| words.first().is_some_and(|word| PROGRAMS.contains(&word.as_str())))
}

/// Takes a script apart into plain commands joined by `&&`, `||`, `;`, `|` or newlines. `None` if it holds
/// anything that a shell would expand, redirect, group or run in the background.
fn split(script: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = Vec::new();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = script.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\n' | ';' | '|' | '&' => {
                words.extend(word.take());
                let is_doubled = chars.next_if_eq(&character).is_some();
                if character == '&' && !is_doubled || character == ';' && is_doubled {
                    return None;
                }
                if chars.peek() == Some(&'&') && character == '|' {
                    return None;
                }
                if words.is_empty() && character != '\n' {
                    return None;
                }
                if !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => quoted.push(other),
                    }
                }
            }
            '"' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' | '\\' | '!' => return None,
                        other => quoted.push(other),
                    }
                }
            }
            plain if plain.is_alphanumeric() || "_-./:,+@%^=".contains(plain) => {
                // `X=1 command` and `~` change what runs or where; `=` may only stand inside an argument.
                if plain == '=' && words.is_empty() {
                    return None;
                }
                word.get_or_insert_default().push(plain);
            }
            _ => return None,
        }
    }
    words.extend(word.take());
    if !words.is_empty() {
        commands.push(words);
    }
    Some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Vec<String> {
        vec!["/bin/bash".into(), "-c".into(), text.into()]
    }

    #[test]
    fn plain_readers_are_harmless() {
        for text in [
            "ls -la src",
            "cat a.txt | grep -n 'x y' | wc -l",
            "pwd && ls; echo \"done\"",
            "grep --color=never a b",
        ] {
            assert!(is_harmless(&script(text)), "{text}");
        }
        assert!(is_harmless(&["ls".into(), "-la".into()]));
    }

    #[test]
    fn anything_a_shell_expands_or_redirects_is_not() {
        for text in [
            "",
            "rm x",
            "\\rm x",
            "'rm' x",
            "ls > f",
            "ls >> f",
            "cat < f",
            "echo $(rm x)",
            "echo `rm x`",
            "echo \"$(rm x)\"",
            "X=1 ls",
            "ls &",
            "ls & rm x",
            "(ls)",
            "{ ls; }",
            "! ls",
            "ls *",
            "ls ?",
            "ls ~",
            "cat <<EOF\nEOF",
            "ls |& cat",
            "ls ;; cat",
            "./ls",
            "/tmp/ls",
            "command ls",
            "env ls",
            "ls\nrm x",
            "echo 'unfinished",
            "echo \"unfinished",
            "ls $HOME",
            "ls #x",
            "ls [a]",
            "&& ls",
            "ls && && ls",
            "git status",
            "find . -delete",
            "sed -n p",
            "uniq a b",
            "sort -o x y",
            "alias ls=rm",
        ] {
            assert!(!is_harmless(&script(text)), "{text}");
        }
        for argv in [vec!["/tmp/ls"], vec!["bash", "-lc", "ls"], vec!["bash", "-c", "ls", "x"], vec![]] {
            let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
            assert!(!is_harmless(&argv), "{argv:?}");
        }
    }
}
