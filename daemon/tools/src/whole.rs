//! Whether a command leaves the sandbox as a whole, by a rule or by what a person granted before. Nobody is asked now, so
//! it is held to what every program is held to that leaves by itself: it must be what its words mean. Knows nothing of
//! how it is run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::analysis::{Place, Simple, analyse};
use policy::profile::unrestricted;
use policy::started::Started;
use protocol::item::Command;
use protocol::profile::{Profile, SandboxMode};

use crate::interception::short;
use crate::judge::{Judge, Ruling};
use crate::program::{Program, Seen, Variable, may_be_changed};
use crate::tool::RunContext;

/// How long looking at its files may take.
const LOOKING: Duration = Duration::from_secs(5);

/// A command as it begins.
pub(crate) struct Beginning {
    /// It says whether the whole of it is outside.
    pub(crate) command: Command,
    /// With the profile that it runs with.
    pub(crate) context: RunContext,
    /// Why it is outside, or why it stayed inside though it might have left; for the model.
    pub(crate) note: Option<String>,
}

/// Decides where a command begins.
pub(crate) async fn begin(mut command: Command, context: RunContext) -> Beginning {
    // A person has just let it out, or there is no sandbox.
    if context.profile.mode == SandboxMode::DangerFullAccess {
        return Beginning { command, context, note: None };
    }
    command.is_escalated = false;
    if !context.judge.has_say() {
        return Beginning { command, context, note: None };
    }
    let (argv, cwd, given) = (command.argv.clone(), command.cwd.clone(), Arc::clone(&context.environment));
    let (profile, judge) = (Arc::clone(&context.profile), Arc::clone(&context.judge));
    let looking = tokio::task::spawn_blocking(move || ruled(&argv, &cwd, &given, &profile, judge.as_ref()));
    let name = short(&command.argv);
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(Ok(Some(Ok(Leave { cwd, reason })))) => {
            command.is_escalated = true;
            command.cwd = cwd;
            let context = RunContext { profile: Arc::new(unrestricted()), ..context };
            let note = format!("`{name}` ran outside the sandbox: {reason}");
            Beginning { command, context, note: Some(note) }
        }
        Ok(Ok(Some(Err(doubt)))) => {
            let note = format!("`{name}` stayed in the sandbox: {doubt}");
            Beginning { command, context, note: Some(note) }
        }
        // Nothing lets the whole out, or its file can't be looked at.
        Ok(Ok(None) | Err(_)) | Err(_) => Beginning { command, context, note: None },
    }
}

/// What lets a command out.
struct Leave {
    /// Its folder, without links, which could lead elsewhere by the time it runs.
    cwd: PathBuf,
    /// Why, for the model.
    reason: String,
}

/// What lets the command out, or why it stays though something would. Looks at files; blocks.
fn ruled(
    argv: &[String],
    cwd: &Path,
    given: &[Variable],
    profile: &Arc<Profile>,
    judge: &dyn Judge,
) -> Option<Result<Leave, String>> {
    let cwd = cwd.canonicalize().ok()?;
    let program = Program::look(Seen::named(argv, &cwd, given)?, profile);
    let started = Started { forms: &program.forms, argv: &program.argv, cwd: &cwd, file: program.file() };
    let Ruling::Outside { reason } = judge.judge(&started) else { return None };
    let trusted = program.trusted(given, given, profile).and_then(|_| match changeable(argv, profile) {
        Some(name) => Err(format!("commands may write the file of `{name}`")),
        None => Ok(Leave { cwd, reason }),
    });
    Some(trusted)
}

/// A program in a script that is named by a path where commands may put another one.
fn changeable(argv: &[String], profile: &Profile) -> Option<String> {
    let may_be_another = |name: &&str| {
        name.contains('/') && (!name.starts_with('/') || may_be_changed(&PathBuf::from(name), profile))
    };
    let analysis = analyse(argv);
    let named = |command: &Simple| {
        command.argv.first().and_then(|word| word.text()).filter(may_be_another).map(str::to_owned)
    };
    analysis.commands.iter().filter(|command| command.place != Place::Shell).find_map(named)
}

#[cfg(test)]
mod tests {
    use policy::started::File;
    use protocol::profile::{Access, NetworkAccess, PathRule};

    use super::*;

    /// Lets everything out in one folder.
    struct In(PathBuf);

    impl Judge for In {
        fn has_say(&self) -> bool {
            true
        }

        fn judge(&self, started: &Started<'_>) -> Ruling {
            if started.cwd == self.0 && started.file == File::Known {
                Ruling::Outside { reason: "a rule".to_owned() }
            } else {
                Ruling::Inside
            }
        }
    }

    #[test]
    fn only_what_commands_have_no_hand_in_leaves_as_a_whole() {
        let folder = tempfile::tempdir().expect("scratch");
        let root = folder.path().canonicalize().expect("real");
        for name in ["bin", "other"] {
            std::fs::create_dir(root.join(name)).expect("folder");
        }
        std::fs::write(root.join("bin/true"), "").expect("file");
        rustix::fs::symlink(&root, root.join("other/link")).expect("link");
        let paths = vec![PathRule { path: root.clone(), access: Access::Write }];
        let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
        let profile = Arc::new(profile);
        let ruled = |argv: &[&str], cwd: &str, path: &str| {
            let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
            let given = [("PATH".into(), path.replace("ROOT", &root.to_string_lossy()).into())];
            super::ruled(&argv, &root.join(cwd), &given, &profile, &In(root.clone())).map(|it| it.is_ok())
        };
        let usual = "/usr/bin:/bin";
        for (argv, cwd, path, expected) in [
            (&["true"][..], "", usual, Some(true)),
            (&["/bin/sh", "-c", "true > x"], "", usual, Some(true)),
            (&["/bin/sh", "-c", "cd other && /usr/bin/true"], "", usual, Some(true)),
            // In another folder, whatever leads to it.
            (&["true"], "other", usual, None),
            (&["true"], "other/link", usual, Some(true)),
            // Found, or to be found, where commands may write.
            (&["true"], "", "ROOT/bin:/usr/bin:/bin", Some(false)),
            (&["/bin/sh", "-c", "true > x"], "", "ROOT/bin:/usr/bin:/bin", Some(false)),
            (&["./bin/true"], "", usual, Some(false)),
            (&["/bin/sh", "-c", "./bin/true > x"], "", usual, Some(false)),
            (&["/bin/sh", "-c", "env other/../bin/true > x"], "", usual, Some(false)),
            (&["no-such-program"], "", usual, None),
        ] {
            assert_eq!(ruled(argv, cwd, path), expected, "{argv:?} {cwd} {path}");
        }
    }
}
