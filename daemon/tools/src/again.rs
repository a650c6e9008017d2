//! A command that the sandbox stopped may run once more, if a person or a rule says so: inside, with the programs that
//! were stopped outside of it, or as a whole outside. Both runs are told, one after the other, as one outcome. Knows
//! nothing of how a command is run.

use std::fmt::Write;
use std::sync::Arc;

use policy::profile::unrestricted;
use protocol::item::{
    Command, CommandExit, CommandOutcome, CommandOutput, ItemBody, ItemStatus, Refusal, RefusedOperation,
};
use protocol::profile::{NetworkAccess, Profile, SandboxMode};
use protocol::question::{Decision, QuestionKind};
use sandbox::Stopped;

use crate::interception::short;
use crate::program::Variable;
use crate::shell::display;
use crate::stopped;
use crate::tool::{RunContext, RunOutcome};
use crate::way_out::{self, Leaver, LetOut, WayOut};
use crate::whole::{self, Beginning};

/// Stands between what the two runs printed.
const OUTSIDE: &str = "[The sandbox stopped this. Again, outside the sandbox:]\n";
const WITH_A_WAY_OUT: &str =
    "[The sandbox stopped this. Again, with what was allowed outside the sandbox:]\n";

/// What came of one run.
pub(crate) struct Ran {
    /// With outcome and message.
    pub(crate) outcome: RunOutcome,
    /// What the sandbox stopped, and who met it.
    pub(crate) stopped: Vec<Stopped>,
    /// The environment that the command was started with.
    pub(crate) environment: Arc<[Variable]>,
}

impl Ran {
    /// Where nothing is known of any program.
    pub(crate) fn of(outcome: RunOutcome) -> Self {
        Self { outcome, stopped: Vec::new(), environment: [].into() }
    }
}

/// Runs a command, outside the sandbox if something lets the whole of it out; and once more if it was stopped and may
/// leave.
pub(crate) async fn run<F>(
    command: Command,
    context: RunContext,
    once: impl Fn(Command, RunContext) -> F,
) -> RunOutcome
where
    F: Future<Output = Ran>,
{
    let Beginning { command, context, note } = whole::begin(command, context).await;
    let mut outcome = once_or_twice(command, context, note.as_deref(), once).await;
    if let (ItemBody::Command(command), Some(note)) = (&mut outcome.body, note) {
        stopped::add(command, note);
    }
    outcome
}

/// `doubt` says why it did not leave at once, though something would have let it.
async fn once_or_twice<F>(
    command: Command,
    context: RunContext,
    doubt: Option<&str>,
    once: impl Fn(Command, RunContext) -> F,
) -> RunOutcome
where
    F: Future<Output = Ran>,
{
    let Ran { outcome: RunOutcome { status, body }, stopped, environment } =
        once(command, context.clone()).await;
    let ItemBody::Command(mut command) = body else { return RunOutcome { status, body } };
    let Some(first) = command.outcome.take_if(|outcome| is_stopped(outcome, &context.profile)) else {
        return RunOutcome { status, body: ItemBody::Command(command) };
    };
    let stopped: Vec<_> =
        stopped.into_iter().filter(|it| !was_asked(&it.refusal, &context.profile)).collect();
    let asking = async {
        match way_out::find(&command, &stopped, &environment, &context.profile).await {
            WayOut::Whole { reason } => {
                let reason = reason.map(|reason| format!("No less than the whole can leave: {reason}"));
                let reason = reason.or_else(|| doubt.map(str::to_owned));
                ask(&command, &first, reason, &context).await.map(|()| Leave::Whole)
            }
            WayOut::Programs(leavers) => ask_each(leavers, &command, &first, &context).await,
        }
    };
    let answer = tokio::select! {
        answer = asking => answer.map_err(|message| {
            (status.clone(), format!("It was not run outside the sandbox: {message}"))
        }),
        () = context.cancel.cancelled() => {
            Err((ItemStatus::Interrupted, "Interrupted; it was not run outside the sandbox".to_owned()))
        }
    };
    match answer {
        Ok(leave) => again(leave, command, first, context, once).await,
        Err((status, message)) => {
            stopped::add(&mut command, message);
            command.outcome = Some(first);
            RunOutcome { status, body: ItemBody::Command(command) }
        }
    }
}

/// What was let out.
enum Leave {
    Whole,
    Programs {
        leavers: Vec<Leaver>,
        /// What was not, and why.
        notes: Vec<String>,
    },
}

async fn again<F>(
    leave: Leave,
    mut command: Command,
    first: CommandOutcome,
    context: RunContext,
    once: impl Fn(Command, RunContext) -> F,
) -> RunOutcome
where
    F: Future<Output = Ran>,
{
    let refused = command.message.take();
    let mut said = vec![format!("In the sandbox it {}. {}", ended(&first.exit), refused.unwrap_or_default())];
    let (between, context, let_out) = match leave {
        Leave::Whole => {
            command.is_escalated = true;
            said.push("It was allowed to run again outside the sandbox, and did".to_owned());
            (OUTSIDE, RunContext { profile: Arc::new(unrestricted()), ..context }, None)
        }
        Leave::Programs { leavers, notes } => {
            said.extend(notes);
            said.push(format!("It ran again in the sandbox, with leave for {}", names(&leavers)));
            let judge = Arc::new(LetOut::new(Arc::clone(&context.judge), leavers));
            (WITH_A_WAY_OUT, RunContext { judge: judge.clone(), ..context }, Some(judge))
        }
    };
    // Whoever watches sees where the second run begins.
    if context.progress.send(between.to_owned()).await.is_err() {
        tracing::debug!("nobody watches the command any more");
    }
    let RunOutcome { status, body } = once(command, context).await.outcome;
    let ItemBody::Command(mut command) = body else { return RunOutcome { status, body } };
    said.extend(command.message.take());
    let missing = let_out.iter().flat_map(|judge| judge.missing());
    said.extend(
        missing.map(|leaver| format!("`{}` did not start again, so it did not leave", leaver.name())),
    );
    said.into_iter().for_each(|line| stopped::add(&mut command, line));
    command.outcome = Some(match command.outcome.take() {
        Some(second) => both(first, second, between),
        None => first,
    });
    RunOutcome { status, body: ItemBody::Command(command) }
}

impl Leaver {
    fn name(&self) -> String {
        short(&self.argv)
    }
}

fn names(leavers: &[Leaver]) -> String {
    leavers.iter().map(|leaver| format!("`{}`", leaver.name())).collect::<Vec<_>>().join(", ")
}

/// Whether a command failed and the sandbox refused it something. A host that a rule may open was asked about when it
/// was to be reached.
fn is_stopped(outcome: &CommandOutcome, profile: &Profile) -> bool {
    let has_failed = match outcome.exit {
        CommandExit::Code { code } => code != 0,
        CommandExit::Signal { .. } => true,
        CommandExit::TimedOut { .. }
        | CommandExit::Interrupted
        | CommandExit::GoesOn
        | CommandExit::Unknown(_) => false,
    };
    has_failed
        && profile.mode != SandboxMode::DangerFullAccess
        && outcome.refusals.iter().any(|refusal| !was_asked(refusal, profile))
}

/// Whether somebody has decided about it already.
fn was_asked(Refusal { operation, .. }: &Refusal, profile: &Profile) -> bool {
    *operation == RefusedOperation::Connect && profile.network == NetworkAccess::Rules
        // A program was refused by a rule or a person, who would refuse it outside as well.
        || *operation == RefusedOperation::Execute
}

/// Asks whether the whole may leave; why not, if it may not.
async fn ask(
    command: &Command,
    first: &CommandOutcome,
    reason: Option<String>,
    context: &RunContext,
) -> Result<(), String> {
    let kind = QuestionKind::Command {
        command: command.command.clone(),
        argv: command.argv.clone(),
        cwd: command.cwd.clone(),
        is_escalated: true,
        justification: command.justification.clone(),
        refusals: first.refusals.clone(),
        proposed_rule: None,
    };
    let reason = format!(
        "The sandbox stopped it: it {}. Outside the sandbox it may do all that you may. It begins anew there, so what \
         it did before it was stopped may be done twice{}",
        ended(&first.exit),
        reason.map(|reason| format!(". {reason}")).unwrap_or_default()
    );
    answered(context.asker.ask(kind, reason).await)
}

/// Asks about one program after the other.
async fn ask_each(
    all: Vec<Leaver>,
    command: &Command,
    first: &CommandOutcome,
    context: &RunContext,
) -> Result<Leave, String> {
    let (mut leavers, mut notes) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for leaver in all {
        let kind = QuestionKind::Command {
            command: display(&leaver.argv),
            argv: leaver.argv.clone(),
            cwd: leaver.cwd.clone(),
            is_escalated: true,
            justification: command.justification.clone(),
            refusals: leaver.refusals.clone(),
            proposed_rule: None,
        };
        let reason = format!(
            "The sandbox stopped this program of a command that {}. Outside the sandbox it may do all that you may. The \
             command begins anew, in the sandbox, and only this program of it leaves, with these arguments and in \
             this folder; so what was done before it was stopped may be done twice",
            ended(&first.exit)
        );
        match answered(context.asker.ask(kind, reason).await) {
            Ok(()) => leavers.push(leaver),
            Err(message) => {
                notes.push(format!("`{}` was given no leave: {message}", leaver.name()));
                last = message;
            }
        }
    }
    if leavers.is_empty() { Err(last) } else { Ok(Leave::Programs { leavers, notes }) }
}

fn answered(decision: Decision) -> Result<(), String> {
    match decision {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny { message } => Err(message.unwrap_or_else(|| "a person declined it".to_owned())),
        Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
            Err("the answer can't be understood".to_owned())
        }
    }
}

fn ended(exit: &CommandExit) -> String {
    match exit {
        CommandExit::Code { code } => format!("ended with exit code {code}"),
        CommandExit::Signal { signal } => format!("was ended by signal {signal}"),
        CommandExit::TimedOut { .. }
        | CommandExit::Interrupted
        | CommandExit::GoesOn
        | CommandExit::Unknown(_) => "ended".to_owned(),
    }
}

/// Both runs as one: all that was printed, in order, and how the second one ended.
fn both(first: CommandOutcome, second: CommandOutcome, between: &str) -> CommandOutcome {
    let mut refusals = first.refusals;
    for refusal in second.refusals {
        if !refusals.contains(&refusal) {
            refusals.push(refusal);
        }
    }
    CommandOutcome {
        exit: second.exit,
        duration_ms: first.duration_ms.saturating_add(second.duration_ms),
        output: joined(first.output, second.output, between),
        refusals,
    }
}

fn joined(first: CommandOutput, second: CommandOutput, between: &str) -> CommandOutput {
    let mut head = first.head;
    if first.omitted_bytes > 0 {
        // Writing to a string does not fail.
        let _ = write!(head, "\n[… {} bytes left out", first.omitted_bytes);
        if let Some(blob) = &first.blob {
            let _ = write!(head, "; `blob:{}` is the whole", blob.0);
        }
        head.push_str(" …]\n");
        head.push_str(&first.tail);
    }
    if !head.is_empty() && !head.ends_with('\n') {
        head.push('\n');
    }
    head.push_str(between);
    head.push_str(&second.head);
    let total_bytes = first.total_bytes.saturating_add(second.total_bytes);
    CommandOutput { head, total_bytes, ..second }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::Access;

    fn outcome(code: i32, refused: &[RefusedOperation], head: &str) -> CommandOutcome {
        let refusal =
            |operation: &RefusedOperation| Refusal { operation: operation.clone(), target: "/x".to_owned() };
        CommandOutcome {
            exit: CommandExit::Code { code },
            duration_ms: 5,
            output: CommandOutput {
                head: head.to_owned(),
                total_bytes: head.len() as u64,
                ..CommandOutput::default()
            },
            refusals: refused.iter().map(refusal).collect(),
        }
    }

    #[test]
    fn only_what_failed_and_was_refused_something_was_stopped() {
        use RefusedOperation::{Connect, Execute, Write};
        let profile = |network| Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), network);
        for (code, refused, network, expected) in [
            (1, &[Write][..], NetworkAccess::Off, true),
            (0, &[Write], NetworkAccess::Off, false),
            (1, &[], NetworkAccess::Off, false),
            (1, &[Connect], NetworkAccess::Off, true),
            (1, &[Connect], NetworkAccess::Rules, false),
            (1, &[Connect, Write], NetworkAccess::Rules, true),
            (1, &[Execute], NetworkAccess::Off, false),
        ] {
            let outcome = outcome(code, refused, "");
            assert_eq!(is_stopped(&outcome, &profile(network)), expected, "{outcome:?} {network:?}");
        }
        assert!(!is_stopped(&outcome(1, &[Write], ""), &unrestricted()));
    }

    #[test]
    fn what_both_runs_printed_is_kept_in_order() {
        let mut first = outcome(1, &[RefusedOperation::Write], "half");
        first.output.omitted_bytes = 7;
        first.output.tail = "end".to_owned();
        let both = both(first, outcome(0, &[], "done\n"), OUTSIDE);
        assert_eq!(both.output.head, format!("half\n[… 7 bytes left out …]\nend\n{OUTSIDE}done\n"));
        assert_eq!((both.duration_ms, both.refusals.len()), (10, 1));
        assert_eq!((both.exit, both.output.total_bytes), (CommandExit::Code { code: 0 }, 9));
    }
}
