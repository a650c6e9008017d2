//! What of a command that the sandbox stopped has to leave it: the programs that were stopped, or the whole of it where
//! they can't be told from it. Knows nothing of who is asked.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::analysis::{Analysis, Place, analyse};
use policy::started::Started;
use protocol::item::{Command, Refusal};
use protocol::profile::Profile;
use sandbox::{Offender, Stopped};

use crate::interception::short;
use crate::judge::{Judge, Ruling};
use crate::program::{Program, Seen, Variable, script_of};

/// Programs of one command that a person is asked about, one after the other.
const MAX_ASKED: usize = 4;
/// How long looking at their files may take.
const LOOKING: Duration = Duration::from_secs(5);

/// What would have to leave the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WayOut {
    /// The command.
    Whole {
        /// Why nothing less would do, where it is a script of several programs.
        reason: Option<String>,
    },
    /// These programs, when the command runs again in the sandbox.
    Programs(Vec<Leaver>),
}

/// A program that may leave, if it is started again with the same words in the same folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaver {
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: PathBuf,
    /// What was refused to it.
    pub(crate) refusals: Vec<Refusal>,
}

/// A program and what was refused to it.
type Met = (Arc<Offender>, Vec<Refusal>);

/// Finds what of a command has to leave. `given` is the environment that it was started with.
pub(crate) async fn find(
    command: &Command,
    stopped: &[Stopped],
    given: &Arc<[Variable]>,
    profile: &Arc<Profile>,
) -> WayOut {
    if !is_script_of_several(&analyse(&command.argv)) {
        return WayOut::Whole { reason: None };
    }
    let whole = |reason: String| WayOut::Whole { reason: Some(reason) };
    let offenders = match offenders(command, stopped) {
        Ok(offenders) => offenders,
        Err(reason) => return whole(reason.to_owned()),
    };
    let (given, profile) = (Arc::clone(given), Arc::clone(profile));
    let looking = tokio::task::spawn_blocking(move || {
        let leaver = |(offender, refusals): Met| leaver(&offender, refusals, &given, &profile);
        offenders.into_iter().map(leaver).collect::<Result<Vec<_>, _>>()
    });
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(Ok(Ok(leavers))) => WayOut::Programs(leavers),
        Ok(Ok(Err(doubt))) => whole(doubt),
        Ok(Err(_)) | Err(_) => whole("the files of its programs can't be looked at".to_owned()),
    }
}

/// Whether a shell of the system carries more than one plain program.
fn is_script_of_several(analysis: &Analysis) -> bool {
    let is_script = analysis.commands.first().is_some_and(|first| first.place == Place::Shell);
    let others = analysis.commands.iter().filter(|command| command.place != Place::Shell).count();
    is_script && (!analysis.is_plain || others > 1)
}

/// The programs that were stopped, with what was refused to each; or why they can't be told.
fn offenders(command: &Command, stopped: &[Stopped]) -> Result<Vec<Met>, &'static str> {
    let mut found: Vec<Met> = Vec::new();
    for Stopped { refusal, by } in stopped {
        let by = by.as_ref().ok_or("it is not known which of its programs was stopped")?;
        if by.argv.iter().eq(command.argv.iter().map(OsString::from).collect::<Vec<_>>().iter()) {
            return Err("the shell itself was stopped");
        }
        match found.iter_mut().find(|(known, _)| known == by) {
            Some((_, refusals)) => refusals.push(refusal.clone()),
            None => found.push((Arc::clone(by), vec![refusal.clone()])),
        }
    }
    match found.len() {
        0 => Err("it is not known which of its programs was stopped"),
        1..=MAX_ASKED => Ok(found),
        _ => Err("too many of its programs were stopped"),
    }
}

/// A program that would be let out if it was started again as it is; or why it would not. Looks at files; blocks.
fn leaver(
    offender: &Offender,
    refusals: Vec<Refusal>,
    given: &[Variable],
    profile: &Arc<Profile>,
) -> Result<Leaver, String> {
    let seen = Seen::new(offender.program.clone(), &offender.argv);
    let program = Program::look(seen, profile);
    let doubt = |reason: &str| format!("`{}` can't leave by itself: {reason}", short(&program.argv));
    if script_of(&program.argv, &offender.cwd, profile).is_some_and(|script| script.may_be_written) {
        return Err(doubt("commands may write its file"));
    }
    program.trusted(&offender.environment, given, profile).map_err(|reason| doubt(&reason))?;
    Ok(Leaver { argv: program.argv, cwd: offender.cwd.clone(), refusals })
}

/// Lets programs out that a person let out; else another judge decides.
pub(crate) struct LetOut {
    judge: Arc<dyn Judge>,
    leavers: Vec<Leaver>,
    /// Those that were started.
    started: Mutex<BTreeSet<usize>>,
}

impl LetOut {
    pub(crate) fn new(judge: Arc<dyn Judge>, leavers: Vec<Leaver>) -> Self {
        Self { judge, leavers, started: Mutex::default() }
    }

    /// Those that were not started again.
    pub(crate) fn missing(&self) -> Vec<&Leaver> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = self.leavers.iter().enumerate().filter(|(index, _)| !started.contains(index));
        missing.map(|(_, leaver)| leaver).collect()
    }

    /// The first of those that it is which fits best: in the same folder if there is one.
    fn leaver(&self, started: &Started<'_>) -> Option<(usize, &Leaver)> {
        let is_it = |leaver: &Leaver| started.forms.contains(&leaver.argv);
        let all = || self.leavers.iter().enumerate().filter(|(_, leaver)| is_it(leaver));
        all().find(|(_, leaver)| leaver.cwd == started.cwd).or_else(|| all().next())
    }
}

impl Judge for LetOut {
    fn has_say(&self) -> bool {
        true
    }

    fn judge(&self, started: &Started<'_>) -> Ruling {
        let ruling = self.judge.judge(started);
        match &ruling {
            Ruling::Refuse { .. } | Ruling::Outside { .. } | Ruling::AskToLeave { .. } => return ruling,
            Ruling::Inside | Ruling::Ask { .. } => {}
        }
        let Some((index, leaver)) = self.leaver(started) else { return ruling };
        self.started.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        if leaver.cwd == started.cwd {
            Ruling::Outside { reason: "a person let it out when the sandbox had stopped it".to_owned() }
        } else {
            // Its words mean something else there, so it is another question.
            Ruling::AskToLeave { refusals: leaver.refusals.clone() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use policy::started::File;
    use protocol::item::RefusedOperation;
    use protocol::profile::{Access, NetworkAccess, PathRule, SandboxMode};
    use protocol::tool::{CallInput, ToolCall};

    use super::*;
    use crate::judge::NoJudge;

    fn command(script: &str) -> Command {
        let input = CallInput::Json(serde_json::json!({"command": script}).to_string());
        let call = ToolCall { call_id: "c".into(), name: "shell".to_owned(), input };
        crate::shell::understand(&call, Path::new("/repo"), "/bin/sh").expect("a command")
    }

    fn offender(argv: &[&str], environment: &[(&str, &str)]) -> Arc<Offender> {
        Arc::new(Offender {
            program: "/bin/sh".into(),
            argv: argv.iter().map(OsString::from).collect(),
            environment: environment.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            cwd: "/repo".into(),
        })
    }

    fn stopped(by: Option<Arc<Offender>>) -> Stopped {
        Stopped { refusal: refusal(), by }
    }

    fn refusal() -> Refusal {
        Refusal { operation: RefusedOperation::Write, target: "/opt/x".to_owned() }
    }

    async fn found(script: &str, stopped: &[Stopped]) -> WayOut {
        let paths = vec![PathRule { path: "/repo".into(), access: Access::Write }];
        let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
        let given = Arc::from([("PATH".into(), "/usr/bin:/bin".into())]);
        find(&command(script), stopped, &given, &Arc::new(profile)).await
    }

    #[tokio::test]
    async fn a_program_of_a_script_is_named_and_one_alone_is_the_whole() {
        let by = || Some(offender(&["/bin/sh", "x"], &[("PATH", "/usr/bin:/bin"), ("SHLVL", "2")]));
        let leaver = Leaver {
            argv: ["/bin/sh", "x"].map(str::to_owned).to_vec(),
            cwd: "/repo".into(),
            refusals: vec![refusal()],
        };
        assert_eq!(found("true; /bin/sh x", &[stopped(by())]).await, WayOut::Programs(vec![leaver]));
        assert_eq!(found("/bin/sh x", &[stopped(by())]).await, WayOut::Whole { reason: None });
    }

    #[tokio::test]
    async fn what_can_t_leave_by_itself_makes_the_whole_be_asked_about() {
        let script = "true; /bin/sh x";
        let shell = command(script).argv;
        let shell: Vec<&str> = shell.iter().map(String::as_str).collect();
        let path = ("PATH", "/usr/bin:/bin");
        let many: Vec<_> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|name| stopped(Some(offender(&["/bin/sh", name], &[path]))))
            .collect();
        let other = || stopped(Some(offender(&["/bin/sh", "x"], &[path])));
        for (stopped, expected) in [
            (vec![other(), stopped(None)], "not known which"),
            (vec![other(), stopped(Some(offender(&shell, &[path])))], "the shell itself"),
            (many, "too many"),
            (vec![stopped(Some(offender(&["/bin/sh"], &[path, ("LD_PRELOAD", "x")])))], "`LD_PRELOAD`"),
            (vec![stopped(Some(offender(&["/repo/sh"], &[path])))], "its file is not"),
        ] {
            let way = found(script, &stopped).await;
            let WayOut::Whole { reason: Some(reason) } = &way else { panic!("{way:?}") };
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn only_the_same_words_in_the_same_folder_leave() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let leaver = Leaver { argv: words(&["touch", "x"]), cwd: "/repo".into(), refusals: vec![refusal()] };
        let judge = LetOut::new(Arc::new(NoJudge), vec![leaver]);
        assert_eq!(judge.missing().len(), 1);
        for (argv, cwd, expected) in [
            (&["touch", "x", "y"][..], "/repo", "inside"),
            (&["touch"], "/repo", "inside"),
            (&["touch", "x"], "/elsewhere", "ask"),
            (&["touch", "x"], "/repo", "outside"),
        ] {
            let (argv, file) = (words(argv), File::Known);
            let forms = [argv.clone()];
            let started = Started { forms: &forms, argv: &argv, cwd: Path::new(cwd), file };
            let ruled = match judge.judge(&started) {
                Ruling::Inside => "inside",
                Ruling::Outside { .. } => "outside",
                Ruling::AskToLeave { .. } => "ask",
                Ruling::Ask { .. } | Ruling::Refuse { .. } => "other",
            };
            assert_eq!(ruled, expected, "{argv:?} {cwd}");
        }
        assert_eq!(judge.missing().len(), 0);
    }
}
