//! The commands that `untrusted` lets pass without a question: programs that only read and print, called by
//! their bare name and with options that are known, with nothing around them that a shell would expand. Everything
//! else is not harmless; that errs on the side of asking, and what passes still runs in the sandbox.

use crate::analysis::{Analysis, Place, Simple, Start, only_reads};

/// Programs of which no option writes, executes or connects.
const PROGRAMS: &[&str] = &[
    "basename",
    "cat",
    "cd",
    "cksum",
    "comm",
    "cut",
    "dirname",
    "echo",
    "expr",
    "false",
    "fold",
    "grep",
    "egrep",
    "fgrep",
    "head",
    "id",
    "join",
    "ls",
    "md5sum",
    "nl",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pwd",
    "readlink",
    "realpath",
    "rev",
    "seq",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "stat",
    "strings",
    "tac",
    "tail",
    "tr",
    "true",
    "type",
    "uname",
    "wc",
    "which",
    "whoami",
];

/// Programs of which these options, and so many other words, only read.
const READERS: &[Reader] = &[
    Reader {
        name: "rg",
        flags: "0123456789aFHILPSNUcehilnopqsuvwx",
        valued: "ABCMTdefgjmrt",
        long: "after-context before-context case-sensitive color column context count count-matches \
               files files-with-matches files-without-match fixed-strings follow glob heading \
               hidden iglob ignore-case invert-match json line-number max-columns max-count \
               max-depth multiline no-filename no-heading no-ignore no-line-number only-matching \
               pcre2 quiet regexp smart-case sort sortr stats trim type type-list type-not \
               unrestricted version vimgrep with-filename word-regexp",
        operands: ANY,
    },
    Reader {
        name: "sort",
        flags: "bcdfghiMmnRrsuVz",
        valued: "kt",
        long: "reverse numeric-sort unique human-numeric-sort version-sort check stable key",
        operands: ANY,
    },
    Reader {
        name: "uniq",
        flags: "cdDiuz",
        valued: "fsw",
        long: "count repeated unique ignore-case",
        operands: 1,
    },
    Reader { name: "base64", flags: "di", valued: "w", long: "decode wrap", operands: 1 },
    Reader {
        name: "diff",
        flags: "0123456789abBdEiNpqrstTuwyZ",
        valued: "UC",
        long: "brief unified recursive color side-by-side ignore-all-space new-file stat",
        operands: 2,
    },
    Reader { name: "cmp", flags: "bls", valued: "in", long: "silent quiet", operands: 2 },
    Reader { name: "du", flags: "0abchkmsSx", valued: "dt", long: "max-depth human-readable", operands: ANY },
    Reader { name: "df", flags: "ahiklmPT", valued: "t", long: "human-readable", operands: ANY },
    Reader { name: "file", flags: "bhikLNs", valued: "", long: "brief mime mime-type", operands: ANY },
    Reader { name: "tree", flags: "aCdDfFghilnpqQrstuvx", valued: "ILP", long: "noreport", operands: ANY },
    Reader {
        name: "jq",
        flags: "CMRScejnrs",
        valued: "",
        long: "raw-output compact-output sort-keys arg argjson",
        operands: ANY,
    },
];

/// What `git` only reads with, and the options that keep it so.
const GIT_READERS: &[Reader] = &[
    Reader {
        name: "status",
        flags: "bsuvz",
        valued: "",
        long: "short branch porcelain untracked-files ignored show-stash long",
        operands: ANY,
    },
    GIT_LOG,
    Reader { name: "show", ..GIT_LOG },
    Reader { name: "diff", ..GIT_LOG },
    Reader { name: "shortlog", flags: "nsec", valued: "", long: "numbered summary email", operands: ANY },
    Reader { name: "blame", flags: "behlstw", valued: "L", long: "porcelain", operands: ANY },
    Reader {
        name: "branch",
        flags: "arv",
        valued: "",
        long: "all remotes list show-current verbose no-color",
        operands: 0,
    },
    Reader { name: "tag", flags: "ln", valued: "", long: "list", operands: 0 },
    Reader { name: "remote", flags: "v", valued: "", long: "verbose", operands: 0 },
    Reader {
        name: "rev-parse",
        flags: "q",
        valued: "",
        long: "abbrev-ref show-toplevel short verify is-inside-work-tree git-dir git-common-dir \
               show-prefix symbolic-full-name quiet",
        operands: ANY,
    },
    Reader {
        name: "ls-files",
        flags: "cdmoskuvtz",
        valued: "",
        long: "cached deleted modified others stage exclude-standard ignored unmerged",
        operands: ANY,
    },
    Reader { name: "ls-tree", flags: "drtlz", valued: "", long: "name-only full-tree", operands: ANY },
    Reader { name: "merge-base", flags: "a", valued: "", long: "all is-ancestor", operands: ANY },
    Reader { name: "describe", flags: "", valued: "", long: "tags always all long", operands: ANY },
];

const GIT_LOG: Reader = Reader {
    name: "log",
    flags: "0123456789abBiEFMRcgmpqstuwz",
    valued: "CGLSUn",
    long: "abbrev-commit all author branches cached check color committer date decorate \
               diff-filter first-parent follow format full-index graph grep ignore-all-space \
               ignore-space-change max-count merges minimal name-only name-status no-color \
               no-decorate no-ext-diff no-merges no-patch no-renames no-textconv numstat oneline \
               patch pretty quiet remotes reverse shortstat since skip staged stat summary tags \
               unified until word-diff",
    operands: ANY,
};

/// `find`'s tests and the actions that only print; a blank between them.
const FIND: &str = "-a -amin -and -anewer -atime -cmin -cnewer -ctime -daystart -depth -empty -false -follow -group \
     -iname -ipath -iregex -iwholename -links -ls -maxdepth -mindepth -mmin -mount -mtime -name \
     -newer -nogroup -not -nouser -o -or -path -perm -print -print0 -printf -prune -quit -readable \
     -regex -regextype -size -true -type -user -wholename -writable -xdev -H -L -P";

/// As many operands as one likes.
const ANY: usize = usize::MAX;

/// What may stand behind a program. Options that are not named make it unknown; so do abbreviated ones.
#[derive(Clone, Copy)]
struct Reader {
    name: &'static str,
    /// Short options, alone or together.
    flags: &'static str,
    /// Short options with a value.
    valued: &'static str,
    /// Long options, with or without a value; a blank between them.
    long: &'static str,
    /// So many words that are no options.
    operands: usize,
}

/// Whether everything that the command runs is known to be harmless.
pub(crate) fn is_known(analysis: &Analysis) -> bool {
    let first = analysis.commands.first().and_then(Simple::exact);
    let reads = first.is_some_and(|words| only_reads(&words));
    analysis.is_plain && (reads || analysis.commands.iter().all(|command| admits(command, analysis)))
}

/// Whether one command of a plain whole is known to be harmless.
pub(crate) fn admits(command: &Simple, analysis: &Analysis) -> bool {
    let Some(words) = command.exact() else { return false };
    // Another repository's configuration can name programs; one below the session's folder is another one.
    let is_elsewhere = || {
        analysis.start != Start::Home
            || analysis.commands.iter().any(|command| command.program() == Some("cd"))
    };
    match command.place {
        // `-l` runs the profile's files first.
        Place::Shell => words.get(1) == Some(&"-c"),
        _ => is_reader(&words) && !(words.first() == Some(&"git") && is_elsewhere()),
    }
}

fn is_reader(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    match (*program, arguments) {
        ("git", ["--no-pager", subcommand, arguments @ ..] | [subcommand, arguments @ ..]) => {
            GIT_READERS.iter().any(|reader| reader.name == *subcommand && reader.admits(arguments))
        }
        ("find", arguments) => arguments.iter().all(|word| {
            !word.starts_with('-')
                || is_number(word)
                || FIND.split_ascii_whitespace().any(|known| known == *word)
        }),
        ("sed", ["-n", script, files @ ..]) => {
            is_print(script) && files.iter().all(|file| !file.starts_with('-'))
        }
        ("date", []) => true,
        ("date", [format]) => {
            format.starts_with('+') || ["-u", "-R", "-I", "--utc", "--iso-8601"].contains(format)
        }
        ("hostname", []) => true,
        (program, arguments) => {
            PROGRAMS.contains(&program)
                || READERS.iter().any(|reader| reader.name == program && reader.admits(arguments))
        }
    }
}

/// `-10`, as `find -mtime` takes it.
fn is_number(word: &str) -> bool {
    word.len() > 1 && word.chars().skip(1).all(|digit| digit.is_ascii_digit())
}

/// `5p`, `5,10p`, `$p`.
fn is_print(script: &str) -> bool {
    let is_line =
        |line: &str| line == "$" || !line.is_empty() && line.chars().all(|digit| digit.is_ascii_digit());
    script
        .strip_suffix('p')
        .is_some_and(|lines| lines.split(',').count() <= 2 && lines.split(',').all(is_line))
}

impl Reader {
    // Invariant: a word that begins with `-` is taken for an option wherever it stands, also behind `--` and where a
    // value belongs; so none can hide.
    fn admits(&self, arguments: &[&str]) -> bool {
        let mut operands = 0_usize;
        for argument in arguments {
            let is_admitted = match argument.strip_prefix('-') {
                // A lone `-` stands for a file.
                None | Some("") => {
                    operands = operands.saturating_add(1);
                    true
                }
                Some(option) => match option.strip_prefix('-') {
                    Some("") => true,
                    Some(long) => {
                        let name = long.split_once('=').map_or(long, |(name, _)| name);
                        self.long.split_ascii_whitespace().any(|known| known == name)
                    }
                    None => self.admits_cluster(option),
                },
            };
            if !is_admitted {
                return false;
            }
        }
        operands <= self.operands
    }

    fn admits_cluster(&self, letters: &str) -> bool {
        letters
            .chars()
            .find(|letter| !self.flags.contains(*letter))
            .is_none_or(|letter| self.valued.contains(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;

    fn is_harmless(argv: &[String]) -> bool {
        is_known(&analyse(argv))
    }

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
    fn readers_are_harmless_with_the_options_that_only_read() {
        for text in [
            "find . -name '*.rs' -type f -mtime -3",
            "rg -n 'fn main' src -g '*.rs'",
            "git status --short",
            "git log --oneline -n 5",
            "git --no-pager diff --stat",
            "git branch -a",
            "sed -n '1,20p' a.txt",
            "sort -rn a | uniq -c | head -5",
            "sort a | uniq - | diff - b",
            "ls 2>/dev/null; cat a 2>&1 | wc",
            "date +%s",
            "base64 -d a",
        ] {
            assert!(is_harmless(&script(text)), "{text}");
        }
        for text in [
            "find . -exec ls ';'",
            "find . -fprint a",
            "find . -ok ls ';'",
            "rg --pre=sh x",
            "rg -nz x",
            "rg -e -- --pre=sh x",
            "rg --hostname-bin=x x",
            "git -c core.pager=x log",
            "git -C /tmp status",
            "git log --output=x",
            "git log --outp=x",
            "git diff --ext-diff",
            "git branch x",
            "git branch -D x",
            "git --exec-path=x status",
            "git push",
            "cd /tmp && git status",
            "sed -n '1,5w x' a",
            "sed -n '1e rm' a",
            "sed -n 5p -i a",
            "sed s/a/b/ a",
            "sort -o x y",
            "sort -nox y",
            "sort --output=x y",
            "sort --compress-program=x y",
            "uniq a b",
            "uniq - b",
            "uniq -c - b",
            "base64 a b",
            "date -s 12:00",
            "date --set=12:00",
            "awk 'BEGIN{system(\"ls\")}'",
            "tar --to-command=ls -xf a.tar",
            "tar xf a.tar",
            "tree -o x",
            "file -C",
            "xargs ls",
            "timeout 5 ls",
            "ls 2>/dev/nullx",
            "ls 2>/dev/null&rm x",
            "2>/dev/null ls",
            "printf -v PATH x",
            "hostname x",
        ] {
            assert!(!is_harmless(&script(text)), "{text}");
        }
    }

    #[test]
    fn git_reads_only_the_session_s_own_repository() {
        for (start, text, expected) in [
            (Start::Home, "git status", true),
            (Start::Below, "git status", false),
            (Start::Elsewhere, "git log", false),
            (Start::Below, "ls -la", true),
        ] {
            let mut analysis = analyse(&script(text));
            analysis.start = start;
            assert_eq!(is_known(&analysis), expected, "{start:?} {text}");
        }
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
