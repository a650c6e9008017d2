//! Commands that do damage no sandbox setting was meant to allow: named with the reason, so that a person is asked.
//! Looks at the commands as they stand and the name of the folder; at no file.

use crate::analysis::{Analysis, Feature, Gap, Simple, Word, reads_script};
use crate::download;
use crate::workplace::{Reach, Workplace, is_elsewhere};

/// Why the command is dangerous as a whole.
pub(crate) fn of_whole(analysis: &Analysis) -> Option<&'static str> {
    if analysis.features.contains(&Feature::ForkBomb) {
        return Some("It starts itself again and again (a fork bomb)");
    }
    let may_run_input = || {
        let is_gap = |gap: &Gap| matches!(gap, Gap::UnknownScript | Gap::UnknownProgram | Gap::Foreign);
        analysis.gaps.iter().any(is_gap)
            && analysis.commands.iter().any(download::is_fetcher)
            && analysis.commands.iter().any(runs_input)
    };
    if may_run_input() || download::is_run(analysis) {
        return Some("It runs what it downloads");
    }
    if analysis.outputs.iter().any(|output| is_device(output.target.shown())) {
        return Some(TO_DEVICE);
    }
    // To this machine itself they are how scripts wait for a server.
    let is_connection = |target: &Word| {
        let target = target.beginning();
        let host = target.strip_prefix("/dev/tcp/").or(target.strip_prefix("/dev/udp/"));
        let is_local =
            |host: &str| ["localhost/", "127.0.0.1/", "::1/"].iter().any(|local| host.starts_with(local));
        host.is_some_and(|host| !is_local(host))
    };
    if analysis.redirects.iter().any(is_connection) {
        return Some("It opens a connection from the shell");
    }
    None
}

const TO_DEVICE: &str = "It writes to a device";
const OF_DISK: &str = "It changes or erases a disk";
const STOPS: &str = "It stops the machine";

/// Why this command is dangerous.
pub(crate) fn of_command(command: &Simple, place: &Workplace<'_>) -> Option<&'static str> {
    let program = command.program()?;
    let arguments = command.argv.get(1..).unwrap_or_default();
    let (options, operands): (Vec<&Word>, Vec<&Word>) =
        arguments.iter().partition(|word| word.beginning().len() > 1 && word.beginning().starts_with('-'));
    let has = |letters: &str, long: &[&str]| options.iter().any(|word| is_option(word, letters, long));
    let any = |is_it: &dyn Fn(&str) -> bool| operands.iter().any(|word| is_it(word.shown()));
    let first = || operands.first().map_or("", |word| word.shown());
    match program {
        "rm" if has("", &["--no-preserve-root"]) => Some("It removes the root folder"),
        "rm" if has("rR", &["--recursive"]) => {
            let is_forced = has("f", &["--force"]);
            operands.iter().find_map(|word| removal(place.reach(word), is_forced))
        }
        "find" => find(arguments, place),
        "chmod" | "chown" | "chgrp" if has("R", &["--recursive"]) => {
            // `-w` is a mode, too.
            let has_mode = has("rwxXst", &["--reference"]);
            let folders = operands.iter().skip(usize::from(!has_mode));
            folders.map(|word| place.reach(word)).find_map(|reach| match reach {
                Reach::Outside => {
                    Some("It changes who may use everything in a folder outside the place of work")
                }
                Reach::Unknown => {
                    Some("It changes who may use everything in a folder, it is not known which")
                }
                Reach::Inside | Reach::Whole | Reach::History => None,
            })
        }
        "git" => git(&operands, &options),
        "dd" if any(&|word| word.strip_prefix("of=").is_some_and(is_device)) => Some(TO_DEVICE),
        "fdisk" | "sfdisk" | "cfdisk" | "gdisk" | "parted" if has("l", &["--list"]) => None,
        "shred" | "wipefs" | "fdisk" | "sfdisk" | "cfdisk" | "gdisk" | "sgdisk" | "parted" | "mkswap"
        | "mke2fs" | "blkdiscard" | "hdparm" | "cryptsetup" => on_disk(&operands),
        mkfs if mkfs == "mkfs" || mkfs.starts_with("mkfs.") => on_disk(&operands),
        "pvremove" | "vgremove" | "lvremove" => Some(OF_DISK),
        "zpool" if ["destroy", "labelclear", "create", "add", "replace"].contains(&first()) => Some(OF_DISK),
        "tee" | "cp" | "mv" if any(&is_device) => Some(TO_DEVICE),
        "mv" if moves_root(&operands, has("t", &["--target-directory"])) => Some("It moves the root folder"),
        "Remove-Item"
            if has_parameter(arguments, "-Recurse")
                && has_parameter(arguments, "-Force")
                && (place.moves_away() || operands.iter().any(|word| is_elsewhere(word))) =>
        {
            Some("It removes folders outside the place of work, or it is not known which")
        }
        "Format-Volume" | "Clear-Disk" | "Initialize-Disk" | "Remove-Partition" | "diskpart" => Some(OF_DISK),
        "Stop-Computer" | "Restart-Computer" => Some(STOPS),
        "shutdown" | "reboot" | "halt" | "poweroff" => Some(STOPS),
        "systemctl" if ["poweroff", "reboot", "halt", "kexec", "rescue", "emergency"].contains(&first()) => {
            Some(STOPS)
        }
        "init" | "telinit" if matches!(first(), "0" | "1" | "6") => Some(STOPS),
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

/// Why removing a folder with this meaning is dangerous. Without force `rm` may ask, so what is not known passes.
fn removal(reach: Reach, is_forced: bool) -> Option<&'static str> {
    match reach {
        Reach::Inside => None,
        Reach::Whole => Some("It removes all that is in the place of work"),
        Reach::History => Some("It removes what git keeps of a repository"),
        Reach::Outside => Some("It removes folders outside the place of work"),
        Reach::Unknown => Some("It removes folders, it is not known which").filter(|_| is_forced),
    }
}

/// Why a tool for disks is dangerous: its operand is one, or may be. It can be told to work on a mere file.
fn on_disk(operands: &[&Word]) -> Option<&'static str> {
    if operands.iter().any(|word| is_device(word.shown())) {
        return Some(OF_DISK);
    }
    let is_open = operands.iter().any(|word| word.beginning().is_empty());
    is_open.then_some("It may change or erase a disk, it is not known what it works on")
}

/// Whether the root folder, or all in it, is moved; the last operand may be where to.
fn moves_root(operands: &[&Word], has_target: bool) -> bool {
    let is_root =
        |word: &&Word| word.shown().starts_with('/') && word.shown().trim_matches(['/', '*', '.']).is_empty();
    let sources = operands.len().saturating_sub(usize::from(!has_target));
    operands.iter().take(sources).any(is_root)
}

/// Why `find` is dangerous: it removes what is outside the place of work, or everything there is.
fn find(arguments: &[Word], place: &Workplace<'_>) -> Option<&'static str> {
    /// They say how to search, not what for; these with a value.
    const BY_VALUE: [&str; 4] = ["-mindepth", "-maxdepth", "-type", "-regextype"];
    const ALONE: [&str; 12] = [
        "-depth",
        "-d",
        "-xdev",
        "-mount",
        "-follow",
        "-noleaf",
        "-daystart",
        "-print",
        "-print0",
        "-ls",
        "-not",
        "-true",
    ];
    let mut words = arguments.iter().skip_while(|word| is_before_folders(word)).peekable();
    let mut folders = Vec::new();
    while let Some(word) = words.next_if(|word| !word.shown().starts_with(['-', '(', '!'])) {
        folders.push(place.reach(word));
    }
    let (mut removes, mut chooses) = (false, false);
    while let Some(word) = words.next() {
        match word.shown() {
            "-delete" => removes = true,
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let program = words.next().and_then(Word::base_name);
                removes |= matches!(program, Some("rm" | "unlink" | "shred"));
                _ = words.by_ref().find(|word| matches!(word.text(), Some(";" | "+")));
            }
            by_value if BY_VALUE.contains(&by_value) => _ = words.next(),
            other => chooses |= other.starts_with('-') && !ALONE.contains(&other),
        }
    }
    if folders.is_empty() {
        folders.push(place.reach(&Word::Plain(".".to_owned())));
    }
    folders.retain(|reach| *reach != Reach::Whole || !chooses);
    folders.into_iter().filter(|_| removes).find_map(|reach| removal(reach, true))
}

/// Options of `find` that stand before the folders.
fn is_before_folders(word: &Word) -> bool {
    word.text().is_some_and(|text| matches!(text, "-H" | "-L" | "-P") || text.starts_with("-O"))
}

fn git(operands: &[&Word], options: &[&Word]) -> Option<&'static str> {
    // Letters behind one of these are its value.
    let letters = |word: &&Word| {
        let cluster = word.beginning();
        let end = cluster.find(['b', 'B', 'c', 'C', 'e', 'o']).filter(|_| !cluster.starts_with("--"));
        Word::Plain(cluster.get(..end.unwrap_or(cluster.len())).unwrap_or_default().to_owned())
    };
    let options: Vec<Word> = options.iter().map(letters).collect();
    let has = |letters: &str, long: &[&str]| options.iter().any(|word| is_option(word, letters, long));
    let (subcommand, rest) = operands.split_first()?;
    let any = |is_it: &dyn Fn(&str) -> bool| rest.iter().any(|word| is_it(word.shown()));
    match subcommand.shown() {
        "push" | "clean" if has("n", &["--dry-run"]) && !has("", &["--no-dry-run"]) => None,
        "push"
            if has("f", &["--force", "--force-with-lease", "--mirror"])
                || any(&|refspec| refspec.starts_with('+')) =>
        {
            Some("It overwrites what others may have pushed")
        }
        "push" if has("d", &["--delete", "--prune"]) || any(&|refspec| refspec.starts_with(':')) => {
            Some("It removes branches from the remote repository")
        }
        // An option may be in it.
        "push"
            if rest
                .first()
                .is_some_and(|word| word.beginning().is_empty() && word.shown().starts_with('$')) =>
        {
            Some("It may overwrite what others have pushed, it is not known how it pushes")
        }
        "reset" if has("", &["--hard"]) => Some(THROWS_AWAY),
        // A setting can make it do so without force.
        "clean" => Some("It removes files that git does not know"),
        "checkout" if has("f", &["--force"]) || any(&is_everything) => Some(THROWS_AWAY),
        "switch" if has("f", &["--force", "--discard-changes"]) => Some(THROWS_AWAY),
        "restore" if any(&is_everything) && (!has("S", &["--staged"]) || has("W", &["--worktree"])) => {
            Some(THROWS_AWAY)
        }
        "branch" if has("D", &[]) || has("d", &["--delete"]) && has("f", &["--force"]) => {
            Some("It removes a branch with what is only there")
        }
        "stash" if matches!(rest.first().map(|word| word.shown()), Some("drop" | "clear")) => {
            Some("It removes changes that were put away")
        }
        "reflog" if rest.first().is_some_and(|word| word.shown() == "expire") => {
            Some("It removes what lost commits are found by")
        }
        _ => None,
    }
}

const THROWS_AWAY: &str = "It throws away every change that is not committed";

/// Whether a path of git's means all files: `.`, `./`, `*`, `:/`, `:(top)`.
fn is_everything(path: &str) -> bool {
    let path =
        path.split_once(":(").and_then(|(_, magic)| magic.split_once(')')).map_or(path, |(_, path)| path);
    path.trim_matches([':', '.', '/', '*', '\'', '"']).is_empty()
}

/// Whether a parameter of PowerShell is there; it may be shortened, and its value may stand behind a colon.
fn has_parameter(arguments: &[Word], name: &str) -> bool {
    let is_it = |text: &str| {
        let text = text.split(':').next().unwrap_or(text);
        text.len() > 1 && name.get(..text.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(text))
    };
    arguments.iter().any(|word| word.text().is_some_and(is_it))
}

/// Whether the word is one of the options; a long one may be shortened.
fn is_option(word: &Word, letters: &str, long: &[&str]) -> bool {
    let text = word.beginning();
    if text.starts_with("--") {
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        return name.len() > 3 && long.iter().any(|long| long.starts_with(name));
    }
    text.chars().skip(1).any(|letter| letters.contains(letter))
}

fn is_device(path: &str) -> bool {
    let harmless = [
        "null", "zero", "full", "tty", "stdin", "stdout", "stderr", "shm", "fd", "tcp", "udp", "ptmx",
        "random", "urandom",
    ];
    path.strip_prefix("/dev/")
        .is_some_and(|name| !harmless.contains(&name.split_once('/').map_or(name, |(name, _)| name)))
}

fn runs_input(command: &Simple) -> bool {
    let arguments = command.argv.get(1..).unwrap_or_default();
    command.program().is_none_or(|program| reads_script(program, arguments))
}

#[cfg(test)]
mod tests;
