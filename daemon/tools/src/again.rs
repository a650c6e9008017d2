//! A command that the sandbox stopped may run once more outside of it, if a person or a rule says so. Both runs are
//! told, one after the other, as one outcome. Knows nothing of how a command is run.

use std::fmt::Write;
use std::sync::Arc;

use policy::profile::unrestricted;
use protocol::item::{
    Command, CommandExit, CommandOutcome, CommandOutput, ItemBody, ItemStatus, RefusedOperation,
};
use protocol::profile::{NetworkAccess, Profile, SandboxMode};
use protocol::question::{Decision, QuestionKind};

use crate::stopped;
use crate::tool::{RunContext, RunOutcome};

/// Stands between what the two runs printed.
const BETWEEN: &str = "[The sandbox stopped this. Again, outside the sandbox:]\n";

/// Runs a command, and once more if it was stopped and may leave the sandbox. `once` fills in outcome and message.
pub(crate) async fn run<F>(
    command: Command,
    context: RunContext,
    once: impl Fn(Command, RunContext) -> F,
) -> RunOutcome
where
    F: Future<Output = RunOutcome>,
{
    let RunOutcome { status, body } = once(command, context.clone()).await;
    let ItemBody::Command(mut command) = body else { return RunOutcome { status, body } };
    let Some(first) = command.outcome.take_if(|outcome| is_stopped(outcome, &context.profile)) else {
        return RunOutcome { status, body: ItemBody::Command(command) };
    };
    let answer = tokio::select! {
        answer = ask(&command, &first, &context) => answer,
        () = context.cancel.cancelled() => Answer::Interrupted,
    };
    let stays = match answer {
        Answer::Yes => None,
        Answer::No { message } => Some((status, format!("It was not run outside the sandbox: {message}"))),
        Answer::Interrupted => {
            Some((ItemStatus::Interrupted, "Interrupted; it was not run outside the sandbox".to_owned()))
        }
    };
    if let Some((status, message)) = stays {
        stopped::add(&mut command, message);
        command.outcome = Some(first);
        return RunOutcome { status, body: ItemBody::Command(command) };
    }
    leave(command, first, context, once).await
}

async fn leave<F>(
    mut command: Command,
    first: CommandOutcome,
    context: RunContext,
    once: impl Fn(Command, RunContext) -> F,
) -> RunOutcome
where
    F: Future<Output = RunOutcome>,
{
    let refused = command.message.take();
    let before = format!("In the sandbox it {}. {}", ended(&first.exit), refused.unwrap_or_default());
    command.is_escalated = true;
    // Whoever watches sees where the second run begins.
    if context.progress.send(BETWEEN.to_owned()).await.is_err() {
        tracing::debug!("nobody watches the command any more");
    }
    let outside = RunContext { profile: Arc::new(unrestricted()), ..context };
    let RunOutcome { status, body } = once(command, outside).await;
    let ItemBody::Command(mut command) = body else { return RunOutcome { status, body } };
    let after = command.message.take();
    command.message = Some(before);
    stopped::add(&mut command, "It was allowed to run again outside the sandbox, and did".to_owned());
    if let Some(after) = after {
        stopped::add(&mut command, after);
    }
    command.outcome = Some(match command.outcome.take() {
        Some(second) => both(first, second),
        None => first,
    });
    RunOutcome { status, body: ItemBody::Command(command) }
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
    let was_asked = |operation: &RefusedOperation| {
        *operation == RefusedOperation::Connect && profile.network == NetworkAccess::Rules
            // A program was refused by a rule or a person, who would refuse it outside as well.
            || *operation == RefusedOperation::Execute
    };
    has_failed
        && profile.mode != SandboxMode::DangerFullAccess
        && outcome.refusals.iter().any(|refusal| !was_asked(&refusal.operation))
}

/// What came of the question.
enum Answer {
    Yes,
    No { message: String },
    Interrupted,
}

async fn ask(command: &Command, first: &CommandOutcome, context: &RunContext) -> Answer {
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
         it did before it was stopped may be done twice",
        ended(&first.exit)
    );
    match context.asker.ask(kind, reason).await {
        Decision::Allow { .. } => Answer::Yes,
        Decision::Deny { message } => {
            Answer::No { message: message.unwrap_or_else(|| "a person declined it".to_owned()) }
        }
        Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
            Answer::No { message: "the answer can't be understood".to_owned() }
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
fn both(first: CommandOutcome, second: CommandOutcome) -> CommandOutcome {
    CommandOutcome {
        exit: second.exit,
        duration_ms: first.duration_ms.saturating_add(second.duration_ms),
        output: joined(first.output, second.output),
        refusals: first.refusals,
    }
}

fn joined(first: CommandOutput, second: CommandOutput) -> CommandOutput {
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
    head.push_str(BETWEEN);
    head.push_str(&second.head);
    let total_bytes = first.total_bytes.saturating_add(second.total_bytes);
    CommandOutput { head, total_bytes, ..second }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::item::Refusal;
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
        let both = both(first, outcome(0, &[], "done\n"));
        assert_eq!(both.output.head, format!("half\n[… 7 bytes left out …]\nend\n{BETWEEN}done\n"));
        assert_eq!((both.duration_ms, both.refusals.len()), (10, 1));
        assert_eq!((both.exit, both.output.total_bytes), (CommandExit::Code { code: 0 }, 9));
    }
}
