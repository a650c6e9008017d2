//! The options of commands that run other commands: how many words stand before the one they run.

use crate::analysis::word::Word;

/// How the words before the inner command are read.
pub(crate) struct Wrapper {
    /// Its names.
    pub(crate) names: &'static [&'static str],
    /// Short options without a value.
    pub(crate) flags: &'static str,
    /// Short options with a value.
    pub(crate) valued: &'static str,
    /// Long options without a value, or with one after `=`.
    pub(crate) long: &'static [&'static str],
    /// Long options with a value in the next word.
    pub(crate) long_valued: &'static [&'static str],
    /// So many words stand before the command.
    pub(crate) operands: usize,
    /// Whether `NAME=VALUE` may stand before the command.
    pub(crate) has_assignments: bool,
}

const NONE: Wrapper = Wrapper {
    names: &[],
    flags: "",
    valued: "",
    long: &[],
    long_valued: &[],
    operands: 0,
    has_assignments: false,
};

/// Commands that run the rest of their words.
pub(crate) const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["env"],
        flags: "i0v",
        valued: "uC",
        long: &["ignore-environment", "null", "debug", "default-signal", "ignore-signal", "block-signal"],
        long_valued: &["unset", "chdir"],
        has_assignments: true,
        ..NONE
    },
    Wrapper {
        names: &["timeout", "gtimeout"],
        flags: "fpv",
        valued: "ks",
        long: &["preserve-status", "foreground", "verbose"],
        long_valued: &["kill-after", "signal"],
        operands: 1,
        ..NONE
    },
    Wrapper { names: &["nohup", "setsid"], flags: "cfw", long: &["ctty", "fork", "wait"], ..NONE },
    Wrapper { names: &["nice"], flags: "0123456789", valued: "n", long_valued: &["adjustment"], ..NONE },
    Wrapper {
        names: &["ionice"],
        flags: "t",
        valued: "cnpPu",
        long: &["ignore"],
        long_valued: &["class", "classdata"],
        ..NONE
    },
    Wrapper { names: &["command"], flags: "p", ..NONE },
    Wrapper {
        names: &[
            "builtin",
            "coproc",
            "busybox",
            "toybox",
            "then",
            "do",
            "else",
            "{",
            "!",
            "noglob",
            "nocorrect",
            "-",
        ],
        ..NONE
    },
    Wrapper { names: &["exec"], flags: "cl", valued: "a", ..NONE },
    Wrapper {
        names: &["time"],
        flags: "pqvaV",
        valued: "fo",
        long: &["portability", "verbose", "append", "quiet"],
        long_valued: &["format", "output"],
        ..NONE
    },
    Wrapper { names: &["stdbuf"], valued: "ioe", long_valued: &["input", "output", "error"], ..NONE },
    Wrapper {
        names: &["sudo"],
        flags: "AbEeHKknPSsVvi",
        valued: "CDghpRrtTuU",
        long: &[
            "askpass",
            "background",
            "preserve-env",
            "set-home",
            "login",
            "non-interactive",
            "stdin",
            "shell",
        ],
        long_valued: &["close-from", "chdir", "group", "host", "prompt", "chroot", "role", "type", "user"],
        has_assignments: true,
        ..NONE
    },
    Wrapper { names: &["doas"], flags: "Lns", valued: "Cu", ..NONE },
    Wrapper { names: &["chroot"], operands: 1, long: &["userspec", "groups", "skip-chdir"], ..NONE },
    Wrapper {
        names: &["taskset"],
        flags: "acp",
        long: &["all-tasks", "cpu-list", "pid"],
        operands: 1,
        ..NONE
    },
    Wrapper { names: &["chrt"], flags: "abdfimorpv", operands: 1, ..NONE },
    Wrapper { names: &["strace"], flags: "cCdfFiqrtTvxyY", valued: "aeEIoOpPsSuXb", ..NONE },
    Wrapper {
        names: &["xargs"],
        flags: "0oprtx",
        valued: "adEIJLnPRsS",
        long: &["null", "no-run-if-empty", "verbose", "interactive", "exit", "open-tty"],
        long_valued: &["arg-file", "delimiter", "max-args", "max-lines", "max-procs", "max-chars", "replace"],
        ..NONE
    },
    Wrapper {
        names: &["git"],
        flags: "pPh",
        valued: "Cc",
        long: &[
            "no-pager",
            "paginate",
            "bare",
            "no-replace-objects",
            "no-optional-locks",
            "no-advice",
            "literal-pathspecs",
            "glob-pathspecs",
            "noglob-pathspecs",
            "icase-pathspecs",
            "no-lazy-fetch",
            "version",
            "help",
        ],
        long_valued: &["git-dir", "work-tree", "namespace"],
        ..NONE
    },
];

/// What stands behind a wrapper's options.
pub(crate) enum Behind {
    /// The inner command starts with the word of this index.
    Command(usize),
    /// There is none.
    Nothing,
    /// An option is not known, so where it starts is not either.
    Unclear,
}

impl Wrapper {
    /// Where the inner command starts in the wrapper's own argument vector.
    pub(crate) fn behind(&self, argv: &[Word]) -> Behind {
        let mut operands = self.operands;
        let mut takes_options = true;
        let mut at = 1;
        while let Some(word) = argv.get(at) {
            let Some(text) = word.text() else {
                // An operand or an assignment may be anything; what else is open may hide an option.
                let is_assignment = self.has_assignments && word.shown().contains('=');
                if operands > 0 || is_assignment {
                    operands = operands.saturating_sub(usize::from(!is_assignment));
                    at = at.saturating_add(1);
                    continue;
                }
                return Behind::Command(at);
            };
            if takes_options && text.len() > 1 && text.starts_with('-') {
                match self.option(text) {
                    Reading::Ends => takes_options = false,
                    Reading::Alone => {}
                    Reading::WithNext => at = at.saturating_add(1),
                    Reading::Unknown => return Behind::Unclear,
                }
            } else if self.has_assignments && (text.contains('=') || text == "-") {
                takes_options = takes_options && text == "-";
            } else if operands > 0 {
                operands -= 1;
                takes_options = false;
            } else {
                return Behind::Command(at);
            }
            at = at.saturating_add(1);
        }
        Behind::Nothing
    }

    fn option(&self, text: &str) -> Reading {
        let Some(long) = text.strip_prefix("--") else {
            return self.cluster(text.get(1..).unwrap_or_default());
        };
        if long.is_empty() {
            return Reading::Ends;
        }
        match long.split_once('=') {
            Some((name, _)) if self.long.contains(&name) || self.long_valued.contains(&name) => {
                Reading::Alone
            }
            None if self.long.contains(&long) => Reading::Alone,
            None if self.long_valued.contains(&long) => Reading::WithNext,
            Some(_) | None => Reading::Unknown,
        }
    }

    fn cluster(&self, letters: &str) -> Reading {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            if self.valued.contains(letter) {
                return if letters.as_str().is_empty() { Reading::WithNext } else { Reading::Alone };
            }
            if !self.flags.contains(letter) {
                return Reading::Unknown;
            }
        }
        Reading::Alone
    }
}

/// What one word in an option's place is.
enum Reading {
    Ends,
    Alone,
    WithNext,
    Unknown,
}
