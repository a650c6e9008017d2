//! The programs that a running command starts, where rules have a say: each waits until the judge, and where it says so
//! a person, has decided. Then it goes on in the sandbox, is refused, or is run outside of it, from what was copied of
//! it.
//!
//! What goes on in the sandbox is looked at once more after it was decided on, and refused if it is another by then. In
//! the very last moment another thread of the command can still change it; the sandbox holds that. So nothing runs outside
//! but the very copy that was judged, and only a program that the command could not have made itself, with an environment
//! that it could not have bent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use policy::started::Started;
use protocol::item::Refusal;
use protocol::profile::{Profile, SandboxMode};
use protocol::question::{Decision, QuestionKind};
use sandbox::{Execution, Exit, Interception, Launcher, Process, SandboxError, Verdict};

use crate::judge::{Judge, Ruling};
use crate::program::{self, Program, Variable};
use crate::shell::display;
use crate::tool::{Asker, RunContext};

/// Programs of one command that may wait for a person, or run outside, at a time; those after them are refused.
const MAX_WAITING: usize = 32;
/// Programs of one command that are looked at at a time; those after them wait. Half of these places are never taken for
/// long.
const MAX_DECIDING: usize = 2 * MAX_WAITING;
/// So much is told of what became of a command's programs.
const MAX_NOTES: usize = 10;
/// Refusals that are remembered for one command.
const MAX_REFUSED: usize = 256;
/// How long looking at a program's file may take.
const LOOKING: Duration = Duration::from_secs(5);

/// Whether the programs of a command with this context wait. Where there is no sandbox they do not: then programs would
/// lose the rights that they gain when they start, such as `sudo`.
pub(crate) fn wanted(context: &RunContext) -> Interception {
    let is_confined = context.profile.mode != SandboxMode::DangerFullAccess;
    if is_confined && context.judge.has_say() { Interception::On } else { Interception::Off }
}

/// Whether a command's output is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is; its end tells that the command may have ended.
    GoesOn,
    /// It has ended.
    IsOver,
}

/// Decides about the programs of one command. Dropping it ends what runs outside for it and withdraws its questions.
pub(crate) struct Interceptor {
    court: Arc<Court>,
    deciding: FuturesUnordered<BoxFuture<'static, (Execution, Verdict)>>,
    stage: Stage,
}

/// Whether programs wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// None does.
    Off,
    /// They wait.
    On,
    /// None is decided on any more; those that still wait are refused.
    Over,
}

impl Interceptor {
    /// For a command that was started with this environment.
    pub(crate) fn new(launcher: &Arc<Launcher>, context: &RunContext, environment: Arc<[Variable]>) -> Self {
        let court = Court {
            launcher: Arc::clone(launcher),
            judge: Arc::clone(&context.judge),
            asker: Arc::clone(&context.asker),
            profile: Arc::clone(&context.profile),
            environment,
            told: Mutex::default(),
            asking: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        };
        let stage = match wanted(context) {
            Interception::On => Stage::On,
            Interception::Off => Stage::Off,
        };
        Self { court: Arc::new(court), deciding: FuturesUnordered::new(), stage }
    }

    /// How the command ended, deciding meanwhile. As long as its output goes on it does not end. Cancel safe.
    ///
    /// # Errors
    /// As `Process::wait`.
    pub(crate) async fn wait(
        &mut self,
        process: &mut Process,
        reading: Reading,
    ) -> Result<Exit, SandboxError> {
        while self.stage == Stage::On {
            tokio::select! {
                execution = process.execution(), if self.deciding.len() < MAX_DECIDING => match execution {
                    Some(execution) => {
                        self.deciding.push(Box::pin(Arc::clone(&self.court).decide(execution)));
                    }
                    // It has ended, or nothing is known of it any more.
                    None => self.stop(),
                },
                Some((execution, verdict)) = self.deciding.next(), if !self.deciding.is_empty() => {
                    process.answer(&execution, verdict);
                }
            }
        }
        match (reading, self.stage) {
            (Reading::IsOver, _) => process.wait().await,
            (Reading::GoesOn, Stage::Off) => std::future::pending().await,
            (Reading::GoesOn, Stage::On | Stage::Over) => {
                // It refuses what still waits, and says the same once more when the output is over.
                let _ = process.wait().await;
                std::future::pending().await
            }
        }
    }

    /// Whether a person is asked about one of its programs, so that the command can't go on.
    pub(crate) fn is_asking(&self) -> bool {
        self.court.asking.load(Ordering::Relaxed) > 0
    }

    /// The command was killed: what waits, and what runs outside for it, ends too.
    pub(crate) fn stop(&mut self) {
        if self.stage == Stage::On {
            self.stage = Stage::Over;
        }
        self.deciding.clear();
    }

    /// What became of programs that did not simply run, for the model.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.court.told().notes.clone()
    }
}

/// Decides about one program after the other.
struct Court {
    launcher: Arc<Launcher>,
    judge: Arc<dyn Judge>,
    asker: Arc<dyn Asker>,
    profile: Arc<Profile>,
    environment: Arc<[Variable]>,
    told: Mutex<Told>,
    /// Programs about which a person is asked.
    asking: AtomicUsize,
    /// Those, and what runs outside.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Told {
    notes: Vec<String>,
    /// What was refused. Shells try the same program in the next folder of the search path.
    refused: BTreeSet<(Vec<String>, PathBuf)>,
}

impl Court {
    async fn decide(self: Arc<Self>, mut execution: Execution) -> (Execution, Verdict) {
        let (profile, seen) = (Arc::clone(&self.profile), program::Seen::of(&execution));
        let looking = tokio::task::spawn_blocking(move || Program::look(seen, &profile));
        let verdict = match tokio::time::timeout(LOOKING, looking).await {
            Ok(Ok(program)) => self.judge(program, &mut execution).await,
            Ok(Err(_)) | Err(_) => {
                self.note("A program was refused: its file can't be looked at".to_owned());
                Verdict::Refuse
            }
        };
        (execution, verdict)
    }

    async fn judge(&self, program: Program, execution: &mut Execution) -> Verdict {
        let key = (program.argv.clone(), execution.cwd.clone());
        if self.told().refused.contains(&key) {
            return Verdict::Refuse;
        }
        let file = program.file();
        let started = Started { forms: &program.forms, argv: &program.argv, cwd: &execution.cwd, file };
        let ruling = self.judge.judge(&started);
        let is_full = self.waiting.load(Ordering::Relaxed) >= MAX_WAITING;
        let _waiting = Counted::new(&self.waiting);
        let refusal = match ruling {
            Ruling::Inside => return Verdict::Inside,
            Ruling::Outside { .. } | Ruling::Ask { .. } | Ruling::AskToLeave { .. } if is_full => {
                "too many wait at a time".to_owned()
            }
            Ruling::Outside { reason } => return self.outside(&program, execution, &reason).await,
            Ruling::AskToLeave { refusals } => {
                let reason = "The sandbox has stopped it before, in another folder".to_owned();
                return match self.ask(&program, &execution.cwd, reason, refusals).await {
                    Ok(()) => self.outside(&program, execution, "a person let it out").await,
                    Err(refusal) => {
                        self.note(format!("`{}` stayed in the sandbox: {refusal}", short(&program.argv)));
                        Verdict::Inside
                    }
                };
            }
            Ruling::Refuse { reason } => reason,
            Ruling::Ask { reason } => match self.ask(&program, &execution.cwd, reason, Vec::new()).await {
                Ok(()) => return Verdict::Inside,
                Err(refusal) => refusal,
            },
        };
        self.note(format!("`{}` was refused: {refusal}", short(&program.argv)));
        let mut told = self.told();
        if told.refused.len() < MAX_REFUSED {
            told.refused.insert(key);
        }
        Verdict::Refuse
    }

    /// What the sandbox has refused it, it is to do outside.
    async fn ask(
        &self,
        program: &Program,
        cwd: &Path,
        reason: String,
        refusals: Vec<Refusal>,
    ) -> Result<(), String> {
        let kind = QuestionKind::Command {
            command: display(&program.argv),
            argv: program.argv.clone(),
            cwd: cwd.to_owned(),
            is_escalated: !refusals.is_empty(),
            justification: None,
            refusals,
            proposed_rule: None,
        };
        let _asking = Counted::new(&self.asking);
        match self.asker.ask(kind, format!("{reason}. A command that runs wants to start it")).await {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny { message } => Err(message.unwrap_or_else(|| "a person declined it".to_owned())),
            Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
                Err("the answer can't be understood".to_owned())
            }
        }
    }

    /// Runs the copy outside, if it is what its name says. Else it goes on inside, where nothing is lost but the way
    /// out.
    async fn outside(&self, program: &Program, execution: &mut Execution, reason: &str) -> Verdict {
        let name = short(&program.argv);
        let trusted = async {
            if execution.has_more_descriptors {
                return Err("it is given more than standard input, output and error".to_owned());
            }
            self.trusted(program.clone(), execution.environment.clone()).await
        };
        let environment = match trusted.await {
            Ok(environment) => environment,
            Err(doubt) => {
                self.note(format!("`{name}` stayed in the sandbox: {doubt}"));
                return Verdict::Inside;
            }
        };
        execution.environment = environment;
        execution.program.clone_from(&program.real);
        let ended = match self.launcher.run_outside(execution).await {
            Ok(mut process) => process.wait().await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(exit) => {
                self.note(format!("`{name}` ran outside the sandbox: {reason}"));
                Verdict::Ran(exit)
            }
            Err(error) => {
                self.note(format!("`{name}` could not be run outside the sandbox: {error}"));
                Verdict::Refuse
            }
        }
    }

    /// The environment with which a program may run outside, or why it may not.
    async fn trusted(&self, program: Program, environment: Vec<Variable>) -> Result<Vec<Variable>, String> {
        let (given, profile) = (Arc::clone(&self.environment), Arc::clone(&self.profile));
        let looking = tokio::task::spawn_blocking(move || program.trusted(&environment, &given, &profile));
        match tokio::time::timeout(LOOKING, looking).await {
            Ok(Ok(trusted)) => trusted,
            Ok(Err(_)) | Err(_) => Err("its file can't be looked at".to_owned()),
        }
    }

    fn note(&self, note: String) {
        let mut told = self.told();
        if told.notes.len() < MAX_NOTES && !told.notes.contains(&note) {
            told.notes.push(note);
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Each change is one step, so a poisoned one is whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Letters of a command in a note.
const SHORT: usize = 120;

/// A program in a note.
pub(crate) fn short(argv: &[String]) -> String {
    let visible = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut text: String = display(argv).chars().map(visible).take(SHORT).collect();
    if text.chars().count() == SHORT {
        text.push('…');
    }
    text
}
