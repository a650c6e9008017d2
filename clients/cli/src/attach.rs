//! `skein logs` and `skein attach`: a session as text, as far as it is and as it goes on.

use clap::Args;
use client::{Attached, ClientError, ConnectOptions, Connection, Update};
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::delta::FeedEntry;
use protocol::event::{Event, EventRecord};
use protocol::question::QuestionAnswerParams;
use protocol::session::{SessionReadParams, SessionSnapshot};

use crate::error::CliError;
use crate::exec::ask::Asker;
use crate::exec::human::Human;
use crate::output::Output;
use crate::select;
use crate::sessions::OneArgs;

/// Which session, and how much of it.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    which: OneArgs,
    /// Go on as it goes on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// At most so many turns, from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    turns: u32,
}

/// Which session, and what may be done there.
#[derive(Args, Debug)]
#[command(after_help = "\
Questions of the session are asked here, if a person is at this terminal. Ctrl-C leaves; the session goes on.
`skein send` says something to it, `skein stop` stops its turn.")]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    which: OneArgs,
    /// Only look: do not ask here what the session asks
    #[arg(long)]
    watch: bool,
}

/// Prints what happened, and goes on if that is asked for.
pub(crate) async fn logs(args: LogsArgs, output: Output) -> Result<(), CliError> {
    let connection = Connection::open(ConnectOptions::new("skein logs")).await?;
    let rpc = connection.rpc();
    let session_id = select::named(rpc, args.which.session.as_deref(), args.which.last).await?;
    let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(args.turns) };
    let snapshot = SessionClient::read(rpc, params).await?;
    let mut human = Human::of_session(output.merged(), snapshot.summary.settings.cwd.clone());
    show(&snapshot, &mut human, output.merged())?;
    show_questions(&snapshot, &mut human)?;
    if !args.follow {
        return Ok(());
    }
    let attached = Attached::open(connection, session_id, Some(snapshot.summary.seq), false).await?;
    follow(attached, human, None, output).await
}

/// Follows a session, and asks here what it asks.
pub(crate) async fn attach(args: AttachArgs, output: Output) -> Result<(), CliError> {
    let connection = Connection::open(ConnectOptions::new("skein attach")).await?;
    let rpc = connection.rpc();
    let session_id = select::named(rpc, args.which.session.as_deref(), args.which.last).await?;
    let asker = if args.watch { None } else { Asker::at_terminal(output) };
    let cwd = select::read(rpc, session_id).await?.settings.cwd;
    let attached = Attached::open(connection, session_id, None, asker.is_some()).await?;
    follow(attached, Human::of_session(output.merged(), cwd), asker, output).await
}

/// Prints the turns of a snapshot.
pub(crate) fn print_snapshot(snapshot: &SessionSnapshot, output: Output) -> Result<(), CliError> {
    let mut human = Human::of_session(output, snapshot.summary.settings.cwd.clone());
    show(snapshot, &mut human, output)?;
    show_questions(snapshot, &mut human)
}

fn show(snapshot: &SessionSnapshot, human: &mut Human, output: Output) -> Result<(), CliError> {
    if snapshot.earlier_turns > 0 {
        let text = output.err.dim(format!("({} earlier turns)", snapshot.earlier_turns));
        output.aside(text).map_err(CliError::Output)?;
    }
    for turn in &snapshot.turns {
        human.replay(turn).map_err(CliError::Output)?;
    }
    Ok(())
}

fn show_questions(snapshot: &SessionSnapshot, human: &mut Human) -> Result<(), CliError> {
    snapshot.questions.iter().try_for_each(|question| human.question(question)).map_err(CliError::Output)
}

async fn follow(
    mut attached: Attached,
    mut human: Human,
    mut asker: Option<Asker>,
    output: Output,
) -> Result<(), CliError> {
    loop {
        let decision = async {
            match &mut asker {
                Some(asker) => asker.decision().await,
                None => std::future::pending().await,
            }
        };
        let update = tokio::select! {
            update = attached.next() => update,
            (question_id, decision) = decision => {
                let params = QuestionAnswerParams { question_id, decision };
                if let Err(error) = attached.connection().rpc().answer(params).await {
                    output.note(format_args!("note: {}", ClientError::from(error)));
                }
                continue;
            }
        };
        match update? {
            Update::Snapshot(snapshot) => {
                show(&snapshot, &mut human, output)?;
                match &mut asker {
                    Some(asker) => snapshot.questions.into_iter().for_each(|question| asker.ask(question)),
                    None => show_questions(&snapshot, &mut human)?,
                }
            }
            Update::Entries(entries) => {
                for entry in &entries {
                    match entry {
                        FeedEntry::Event(record) => {
                            // Where somebody can answer, a question is asked, not told.
                            let is_asked = asker.is_some() && matches!(record.event, Event::QuestionAsked(_));
                            if !is_asked {
                                human.event(&record.event).map_err(CliError::Output)?;
                            }
                            if let Some(asker) = &mut asker {
                                note_question(record, asker);
                            }
                        }
                        FeedEntry::Delta(delta) => human.delta(delta).map_err(CliError::Output)?,
                        FeedEntry::Unknown(_) => {}
                    }
                }
            }
            Update::Lost => {
                output.note(output.err.yellow("the connection to the daemon was lost; looking for it"))
            }
            Update::Back { is_new_daemon: true } => output.note(output.err.dim("the daemon came back")),
            Update::Back { is_new_daemon: false } => output.note(output.err.dim("connected again")),
        }
    }
}

fn note_question(record: &EventRecord, asker: &mut Asker) {
    match &record.event {
        Event::QuestionAsked(asked) => asker.ask(asked.question.clone()),
        Event::QuestionAnswered(answered) => asker.withdraw(answered.question_id),
        Event::QuestionWithdrawn(withdrawn) => asker.withdraw(withdrawn.question_id),
        Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::InputQueued(_)
        | Event::TurnStarted(_)
        | Event::ModelRequested(_)
        | Event::ModelRetried(_)
        | Event::ModelResponded(_)
        | Event::ItemStarted(_)
        | Event::ItemAppended(_)
        | Event::ItemCompleted(_)
        | Event::TurnEnded(_)
        | Event::Unknown(_) => {}
    }
}
