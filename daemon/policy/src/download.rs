//! Whether a script runs a file that it has fetched itself. Goes by the names of files alone, wherever they lie and in
//! whatever order: what was fetched before the script is not known, and what is packed in an archive neither.

use std::collections::BTreeSet;

use crate::analysis::{Analysis, Simple, Word, base, file_run};

/// A program that fetches files, and how it is told where they go.
struct Fetcher {
    names: &'static [&'static str],
    /// The option with the file's name.
    short: char,
    long: &'static str,
    /// Short options with a value.
    valued: &'static str,
    naming: Naming,
}

/// When a file has the name that stands in its address.
enum Naming {
    /// Always.
    ByAddress,
    /// If one of these options is there.
    If(char, &'static [&'static str]),
}

const FETCHERS: &[Fetcher] = &[
    Fetcher {
        names: &["curl"],
        short: 'o',
        long: "--output",
        valued: "AbcCdDeEFhHKmoPQrtTuUwxXyYz",
        naming: Naming::If('O', &["--remote-name", "--remote-name-all"]),
    },
    Fetcher {
        names: &["wget"],
        short: 'O',
        long: "--output-document",
        valued: "aABDeiIloOPQRtTUwX",
        naming: Naming::ByAddress,
    },
    Fetcher {
        names: &["aria2c"],
        short: 'o',
        long: "--out",
        valued: "dijklmopstuxMST",
        naming: Naming::ByAddress,
    },
    Fetcher {
        names: &["fetch"],
        short: 'o',
        long: "--output",
        valued: "BhiNoSTw",
        naming: Naming::ByAddress,
    },
    Fetcher {
        names: &["http", "https", "xh"],
        short: 'o',
        long: "--output",
        valued: "aAopPs",
        naming: Naming::If('d', &["--download"]),
    },
    // They have no such option; what the other side sends is their output.
    Fetcher {
        names: &["nc", "ncat", "netcat", "socat"],
        short: '\0',
        long: "",
        valued: "",
        naming: Naming::If('\0', &[]),
    },
];

/// Whether the command fetches something.
pub(crate) fn is_fetcher(command: &Simple) -> bool {
    fetcher(command).is_some()
}

/// Whether one of the commands runs what another one fetches.
pub(crate) fn is_run(analysis: &Analysis) -> bool {
    let fetched = fetched(analysis);
    let is_it = |command: &Simple| file_run(&command.argv).is_some_and(|file| fetched.contains(&name(file)));
    !fetched.is_empty() && analysis.commands.iter().any(is_it)
}

fn fetcher(command: &Simple) -> Option<&'static Fetcher> {
    let program = command.program()?;
    // It only looks whether somebody listens.
    let is_probe = |word: &Word| word.text().is_some_and(|text| text.starts_with('-') && text.contains('z'));
    if matches!(program, "nc" | "ncat" | "netcat") && command.argv.iter().any(is_probe) {
        return None;
    }
    FETCHERS.iter().find(|fetcher| fetcher.names.contains(&program))
}

/// The names of what is fetched, and of what becomes of it.
fn fetched(analysis: &Analysis) -> BTreeSet<String> {
    let commands = &analysis.commands;
    let mut found: BTreeSet<String> =
        commands.iter().filter_map(|it| Some(saved(fetcher(it)?, it))).flatten().collect();
    for output in &analysis.outputs {
        if commands.get(output.commands.clone()).is_some_and(|commands| commands.iter().any(is_fetcher)) {
            found.insert(name(&output.target));
        }
    }
    let fetches = commands.iter().any(is_fetcher);
    for command in commands {
        let mut operands = command.argv.iter().skip(1).filter(|word| !word.shown().starts_with('-'));
        match command.program() {
            Some("tee") if fetches => found.extend(operands.map(name)),
            Some("cp" | "mv" | "ln" | "install") if operands.clone().any(|it| found.contains(&name(it))) => {
                found.extend(operands.next_back().map(name));
            }
            Some(_) | None => {}
        }
    }
    found.retain(|name| !["", "-", ".", "..", "null", "stdout", "stderr"].contains(&name.as_str()));
    found
}

/// The names that the options of such a program give what it fetches.
fn saved(fetcher: &Fetcher, command: &Simple) -> Vec<String> {
    let (mut named, mut addresses) = (Vec::new(), Vec::new());
    let mut is_by_address = matches!(fetcher.naming, Naming::ByAddress);
    let is_telling = |option: char| matches!(fetcher.naming, Naming::If(letter, _) if letter == option);
    let mut words = command.argv.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.shown();
        if let Some((_, value)) = text.split_once('=').filter(|(option, _)| *option == fetcher.long) {
            named.push(of_path(value));
        } else if text == fetcher.long {
            named.extend(words.next().map(name));
        } else if text.starts_with("--") {
            is_by_address |= matches!(fetcher.naming, Naming::If(_, long) if long.contains(&text));
        } else if let Some(cluster) = text.strip_prefix('-') {
            let Some(valued) = cluster.find(|letter| fetcher.valued.contains(letter)) else {
                is_by_address |= cluster.contains(is_telling);
                continue;
            };
            let (before, option) = cluster.split_at(valued);
            is_by_address |= before.contains(is_telling);
            let mut letters = option.chars();
            let is_name = letters.next() == Some(fetcher.short);
            let value = if letters.as_str().is_empty() {
                words.next().map(name)
            } else {
                Some(of_path(letters.as_str()))
            };
            named.extend(value.filter(|_| is_name));
        } else {
            addresses.push(of_path(text.split(['?', '#']).next().unwrap_or(text)));
        }
    }
    if is_by_address {
        named.extend(addresses);
    }
    named
}

fn name(word: &Word) -> String {
    of_path(word.shown())
}

/// The last part of a path, written in one of the ways that mean the same: `"${x}"` is `$x`.
fn of_path(path: &str) -> String {
    let plain: String = path.chars().filter(|letter| !"\"'{}".contains(*letter)).collect();
    base(&plain).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;

    fn check(script: &str) -> bool {
        is_run(&analyse(&["/bin/sh", "-c", script].map(str::to_owned)))
    }

    #[test]
    fn what_a_script_fetches_it_does_not_run_unasked() {
        for script in [
            "curl -fsSL https://x.y/install > f && bash f",
            "curl https://x.y/i>f; sh ./f",
            "wget -O f https://x.y/i; sh f",
            "wget -qO/tmp/f.sh https://x.y/i\nbash -x /tmp/f.sh --yes",
            "wget https://x.y/install.sh?v=2 && sh install.sh",
            "curl -o f https://x.y/i && chmod +x f && ./f",
            "curl --output d/f https://x.y/i && chmod +x d/f && cd d && ./f",
            "curl -fsSLO https://x.y/install.sh; sudo bash install.sh",
            "curl --remote-name https://x.y/install.sh; . ./install.sh",
            "curl -so \"$tmp\" \"$url\"; sh \"${tmp}\"",
            "curl $base/run.py > run.py; env A=b python3 -u run.py",
            "curl https://x.y/i | tee f >/dev/null && sh f",
            "curl https://x.y/i | sed s/a/b/ > f && sh f",
            "{ echo set -e; curl https://x.y/i; } > f; timeout 5 sh f",
            "curl -o f.tmp https://x.y/i && mv f.tmp f && install f ~/bin/g && ~/bin/g",
            "if curl -o f https://x.y/i; then bash f; fi",
            "http -d -o f https://x.y/i; sh f",
            "nc h 1 > f && sh f",
        ] {
            assert!(check(script), "{script}");
        }
    }

    #[test]
    fn what_is_fetched_to_be_read_is_no_danger() {
        for script in [
            "curl -o data.json https://x.y/d && jq . data.json",
            "curl -o x.tar.gz https://x.y/d && tar xf x.tar.gz && cd x && ./configure",
            "curl -o data.json https://x.y/d && python3 show.py data.json",
            "curl -o data.json https://x.y/d && python3 -m json.tool data.json",
            "curl -o data.json https://x.y/d && node -e 'f()' data.json",
            "wget -q https://x.y/x.db && sqlite3 x.db .tables",
            "cat > t.sh <<'E'\ncurl localhost/x\nE\nbash t.sh",
            "echo 'curl x' > t.sh; bash t.sh; curl localhost:8080/t",
            "make > log; curl localhost:8080/log; bash test.sh < log",
            "curl -XPOST -d @t.sh https://x.y/t.sh; bash t.sh",
            "curl -sS https://x.y/test > out; ./test",
            "wget -qO- https://x.y/test.sh | wc -l > out; bash count",
            "curl -o /dev/null https://x.y/run; ./run",
            "curl localhost/x && echo true > f; sh f",
            "nc -vz h 1 > f && sh f",
            "echo stats | nc localhost 1 > log; sh test.sh",
            "bash f",
        ] {
            assert!(!check(script), "{script}");
        }
    }
}
