//! Commands that do damage no sandbox setting was meant to allow: named with the reason, so that a person is asked.
//! Looks at the commands as they stand and the name of the folder; at no file.

use std::path::Path;

use crate::analysis::{Analysis, Feature, Gap, Simple, Word, reads_script};

/// Why the command is dangerous as a whole.
pub(crate) fn of_whole(analysis: &Analysis) -> Option<&'static str> {
    if analysis.features.contains(&Feature::ForkBomb) {
        return Some("It starts itself again and again (a fork bomb)");
    }
    let is_download = |command: &Simple| command.program().is_some_and(|name| DOWNLOADERS.contains(&name));
    if analysis.gaps.iter().any(|gap| matches!(gap, Gap::UnknownScript | Gap::UnknownProgram | Gap::Foreign))
        && analysis.commands.iter().any(is_download)
        && analysis.commands.iter().any(runs_input)
    {
        return Some("It runs what it downloads");
    }
    if analysis.redirects.iter().any(|target| is_device(target.shown())) {
        return Some("It writes to a device");
    }
    if analysis.redirects.iter().any(|target| target.shown().starts_with("/dev/tcp/")) {
        return Some("It opens a connection from the shell");
    }
    None
}

/// Where commands work.
pub(crate) struct Workplace<'a> {
    folder: &'a Path,
    /// Whether they go elsewhere before they work.
    moves_away: bool,
}

impl<'a> Workplace<'a> {
    /// Of commands that begin in this folder.
    pub(crate) fn of(analysis: &Analysis, folder: &'a Path) -> Self {
        let mut place = Self { folder, moves_away: false };
        place.moves_away = analysis.commands.iter().any(|command| match command.program() {
            Some("cd" | "pushd" | "chdir") => {
                command.argv.get(1).is_none_or(|target| place.is_outside(target))
            }
            Some("Set-Location" | "Push-Location") => command.argv.iter().skip(1).any(is_elsewhere),
            Some(_) | None => false,
        });
        place
    }

    /// Whether a path lies outside the folder and the temporary folder, or can't be told.
    fn is_outside(&self, word: &Word) -> bool {
        let path = match word {
            Word::Plain(text) => text,
            Word::Open { prefix, .. } => prefix,
        };
        let parts = || path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let climbs = parts().any(|part| part == "..") || word.shown().contains("..");
        if climbs || parts().any(|part| part == ".git") {
            return true;
        }
        if path.starts_with('/') {
            let below = Path::new(path).strip_prefix(self.folder);
            let is_below = below.is_ok_and(|below| below.components().next().is_some());
            let is_temporary = parts().next() == Some("tmp") && parts().nth(1).is_some();
            return !(is_below || is_temporary);
        }
        self.moves_away || parts().next().is_none() || path.starts_with('~')
    }
}

/// Why this command is dangerous.
pub(crate) fn of_command(command: &Simple, place: &Workplace<'_>) -> Option<&'static str> {
    let program = command.program()?;
    let arguments = command.argv.get(1..).unwrap_or_default();
    let (options, operands): (Vec<&Word>, Vec<&Word>) = arguments
        .iter()
        .partition(|word| word.text().is_some_and(|text| text.len() > 1 && text.starts_with('-')));
    let has =
        |letters: &str, long: &[&str]| options.iter().any(|word| is_option(word.shown(), letters, long));
    match program {
        "rm" if has("rR", &["--recursive"])
            && has("f", &["--force"])
            && operands.iter().any(|word| place.is_outside(word)) =>
        {
            Some("It removes folders outside the place of work, or it is not known which")
        }
        "find" if deletes_elsewhere(arguments, place) => {
            Some("It removes files outside the place of work, or all that is in it")
        }
        "rm" if has("", &["--no-preserve-root"]) => Some("It removes the root folder"),
        "chmod" | "chown" | "chgrp"
            if has("R", &["--recursive"]) && operands.iter().skip(1).any(|word| place.is_outside(word)) =>
        {
            Some("It changes who may use everything in a folder outside the place of work")
        }
        "git" => git(&operands, &has),
        "dd" if operands.iter().any(|word| word.shown().strip_prefix("of=").is_some_and(is_device)) => {
            Some("It writes to a device")
        }
        "shred" | "wipefs" | "fdisk" | "sfdisk" | "cfdisk" | "gdisk" | "sgdisk" | "parted" | "mkswap"
        | "blkdiscard" | "hdparm" | "cryptsetup" | "pvremove" | "vgremove" | "lvremove" | "zpool" => {
            Some("It changes or erases a disk")
        }
        mkfs if mkfs == "mkfs" || mkfs.starts_with("mkfs.") => Some("It changes or erases a disk"),
        "tee" | "cp" | "mv" if operands.iter().any(|word| is_device(word.shown())) => {
            Some("It writes to a device")
        }
        "mv" if operands.first().is_some_and(|word| matches!(word.text(), Some("/" | "/*"))) => {
            Some("It moves the root folder")
        }
        "Remove-Item"
            if has_parameter(arguments, "-Recurse")
                && has_parameter(arguments, "-Force")
                && (place.moves_away || operands.iter().any(|word| is_elsewhere(word))) =>
        {
            Some("It removes folders outside the place of work, or it is not known which")
        }
        "Format-Volume" | "Clear-Disk" | "Initialize-Disk" | "Remove-Partition" | "diskpart" => {
            Some("It changes or erases a disk")
        }
        "Stop-Computer" | "Restart-Computer" => Some("It stops the machine"),
        "shutdown" | "reboot" | "halt" | "poweroff" => Some("It stops the machine"),
        "kill" if arguments.iter().skip(1).any(|word| word.text() == Some("-1")) => {
            Some("It ends every process")
        }
        "crontab" if has("r", &[]) => Some("It removes every scheduled job"),
        "nc" | "ncat" | "netcat" if has("ec", &["--exec", "--sh-exec"]) => {
            Some("It gives a shell to the other side of a connection")
        }
        _ => None,
    }
}

/// Whether `find` removes what is outside the place of work, or everything there is.
fn deletes_elsewhere(arguments: &[Word], place: &Workplace<'_>) -> bool {
    if !arguments.iter().any(|word| word.text() == Some("-delete")) {
        return false;
    }
    let is_folder = |word: &&Word| !word.shown().starts_with(['-', '(', '!']);
    let folders: Vec<&Word> = arguments.iter().take_while(is_folder).collect();
    let is_here = |word: &Word| {
        word.text().is_some_and(|text| {
            text.trim_matches(['.', '/']).is_empty() && !text.contains("..") && !text.starts_with('/')
        })
    };
    // Without a test it takes all, and without a folder this one.
    let is_all = arguments.len() <= folders.len() + 1;
    let takes = |word: &&Word| place.is_outside(word) && (is_all || place.moves_away || !is_here(word));
    folders.iter().any(takes) || folders.is_empty() && (is_all || place.moves_away)
}

const DOWNLOADERS: &[&str] = &["curl", "wget", "fetch", "aria2c", "http", "https", "xh"];

fn git(operands: &[&Word], has: &impl Fn(&str, &[&str]) -> bool) -> Option<&'static str> {
    let words: Vec<&str> = operands.iter().map(|word| word.shown()).collect();
    let (subcommand, rest) = words.split_first()?;
    match *subcommand {
        "push"
            if has("f", &["--force", "--force-with-lease", "--mirror"])
                || rest.iter().any(|refspec| refspec.starts_with('+')) =>
        {
            Some("It overwrites what others may have pushed")
        }
        "push"
            if has("d", &["--delete", "--prune"]) || rest.iter().any(|refspec| refspec.starts_with(':')) =>
        {
            Some("It removes branches from the remote repository")
        }
        "reset" if has("", &["--hard"]) => Some("It throws away every change that is not committed"),
        "clean" if has("f", &["--force"]) => Some("It removes files that git does not know"),
        "checkout" | "restore" if rest.contains(&".") => {
            Some("It throws away every change that is not committed")
        }
        "branch" if has("D", &[]) => Some("It removes a branch with what is only there"),
        "stash" if matches!(rest.first(), Some(&("drop" | "clear"))) => {
            Some("It removes changes that were put away")
        }
        "reflog" if rest.first() == Some(&"expire") => Some("It removes what lost commits are found by"),
        _ => None,
    }
}

/// Whether a parameter of PowerShell is there; it may be shortened, and its value may stand behind a colon.
fn has_parameter(arguments: &[Word], name: &str) -> bool {
    let is_it = |text: &str| {
        let text = text.split(':').next().unwrap_or(text);
        text.len() > 1 && name.get(..text.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(text))
    };
    arguments.iter().any(|word| word.text().is_some_and(is_it))
}

/// Whether a path of PowerShell may lie outside of the folder.
fn is_elsewhere(word: &Word) -> bool {
    let path = word.shown();
    let is_name = path.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    !is_name || path.contains([':', '~']) || path.contains("..")
}

/// Whether the word is one of the options; a long one may be shortened.
fn is_option(word: &str, letters: &str, long: &[&str]) -> bool {
    if word.starts_with("--") {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        return name.len() > 3 && long.iter().any(|long| long.starts_with(name));
    }
    word.chars().skip(1).any(|letter| letters.contains(letter))
}

fn is_device(path: &str) -> bool {
    let harmless =
        ["null", "zero", "full", "tty", "stdin", "stdout", "stderr", "shm", "fd", "tcp", "udp", "ptmx"];
    path.strip_prefix("/dev/")
        .is_some_and(|name| !harmless.contains(&name.split_once('/').map_or(name, |(name, _)| name)))
}

fn runs_input(command: &Simple) -> bool {
    let arguments = command.argv.get(1..).unwrap_or_default();
    command.program().is_none_or(|program| reads_script(program, arguments))
}
