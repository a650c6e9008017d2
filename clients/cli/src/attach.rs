//! `skein logs` and `skein attach`: a session as text, as far as it is and as it goes on.

use clap::Args;
use client::{Attached, DaemonChange, Update};
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::delta::FeedEntry;
use protocol::event::{Event, EventRecord};
use protocol::ids::RequestId;
use protocol::question::QuestionAnswerParams;
use protocol::session::{Presence, SessionReadParams, SessionSnapshot};
use tui::Mode;

use crate::bell::Bell;
use crate::connect::{back, connect};
use crate::error::CliError;
use crate::exec::ask::Asker;
use crate::exec::human::Human;
use crate::exec::outcome::Ending;
use crate::output::Output;
use crate::presence::Watch;
use crate::question::headline;
use crate::screen;
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
At a terminal this is the terminal UI; elsewhere, and with `--text`, the session as text, whose questions are
asked here if a person is at this terminal. Leaving it ends nothing; the session goes on.
`skein send` says something to it, `skein stop` stops its turn.

The terminal's bell rings, with a notification where the terminal shows one, when a turn ends and when a
question waits. `SKEIN_NO_BELL=1` keeps it silent.")]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    which: OneArgs,
    /// Only look on: nothing is asked here, and nothing can be changed from here
    #[arg(long)]
    watch: bool,
    /// Become the only one who may write, until you leave; as text
    #[arg(long, conflicts_with = "watch")]
    take_over: bool,
    /// Print it as text, also at a terminal
    #[arg(long)]
    text: bool,
}

/// Prints what happened, and goes on if that is asked for.
pub(crate) async fn logs(args: LogsArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein logs", output).await?;
    let session_id = select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
    let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(args.turns) };
    let snapshot = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
    let mut human = Human::of_session(output.merged(), snapshot.summary.settings.cwd.clone());
    human.confinement(&snapshot.summary.settings).map_err(CliError::Output)?;
    show(&snapshot, &mut human, output.merged())?;
    show_questions(&snapshot, &mut human)?;
    if !args.follow {
        return Ok(());
    }
    let attached = Attached::watch(connection, session_id, Some(snapshot.summary.seq)).await?;
    Follower { attached, human, asker: None, company: None, bell: Bell::SILENT, output }.run().await
}

/// Follows a session, and asks here what it asks.
pub(crate) async fn attach(args: AttachArgs, output: Output) -> Result<(), CliError> {
    let name = if args.watch { "skein attach --watch" } else { "skein attach" };
    let mut connection = connect(name, output).await?;
    let session_id = select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
    if screen::is_possible() && !args.text && !args.take_over {
        drop(connection);
        let mode = if args.watch { Mode::Watch } else { Mode::Drive };
        return screen::attach(session_id, mode).await;
    }
    let cwd = select::read(&mut connection, session_id).await?.settings.cwd;
    let asker = if args.watch { None } else { Asker::at_terminal(output) };
    let mut attached = if args.watch {
        Attached::watch(connection, session_id, None).await?
    } else {
        Attached::open(connection, session_id, None, asker.is_some()).await?
    };
    if args.take_over {
        attached.take_over().await?;
    }
    let human = Human::of_session(output.merged(), cwd);
    let (company, bell) = (Some(Watch::default()), Bell::of_terminal(output));
    Follower { attached, human, asker, company, bell, output }.run().await
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

/// A session that is shown as it goes on.
struct Follower {
    attached: Attached,
    human: Human,
    /// Who answers here, if somebody does.
    asker: Option<Asker>,
    /// Who else is there, if that is shown.
    company: Option<Watch>,
    bell: Bell,
    output: Output,
}

impl Follower {
    async fn run(mut self) -> Result<(), CliError> {
        loop {
            let decision = async {
                match &mut self.asker {
                    Some(asker) => asker.decision().await,
                    None => std::future::pending().await,
                }
            };
            let update = tokio::select! {
                update = self.attached.next() => update,
                (question_id, decision) = decision => {
                    let request_id = Some(RequestId::generate());
                    let params = QuestionAnswerParams { question_id, decision, request_id };
                    let answered = self.attached.call(async |rpc| rpc.answer(params.clone()).await).await;
                    if let Err(error) = answered {
                        self.output.note(format_args!("note: {error}"));
                    }
                    continue;
                }
            };
            self.show(update?)?;
        }
    }

    fn show(&mut self, update: Update) -> Result<(), CliError> {
        match update {
            Update::Snapshot(snapshot) => {
                self.human.confinement(&snapshot.summary.settings).map_err(CliError::Output)?;
                show(&snapshot, &mut self.human, self.output)?;
                self.show_presence(snapshot.presence.clone())?;
                match &mut self.asker {
                    Some(asker) => {
                        let questions = snapshot.questions.into_iter();
                        questions
                            .filter(|question| question.kind.is_for_person())
                            .for_each(|question| asker.ask(question));
                    }
                    None => show_questions(&snapshot, &mut self.human)?,
                }
            }
            Update::Entries(entries) => {
                entries.iter().try_for_each(|entry| self.show_entry(entry))?;
            }
            Update::Presence(presence) => self.show_presence(presence)?,
            Update::Lost => {
                let text = "the connection to the daemon was lost; looking for it";
                self.output.note(self.output.err.yellow(text));
            }
            Update::Back(change) => {
                if change != DaemonChange::Same
                    && let Some(company) = &mut self.company
                {
                    company.forget();
                }
                self.output.note(self.output.err.dim(back(&change)));
            }
        }
        Ok(())
    }

    fn show_entry(&mut self, entry: &FeedEntry) -> Result<(), CliError> {
        match entry {
            FeedEntry::Event(record) => {
                // Where somebody can answer, a question is asked, not told.
                let is_asked = self.asker.is_some() && matches!(record.event, Event::QuestionAsked(_));
                if !is_asked {
                    self.human.event(&record.event).map_err(CliError::Output)?;
                }
                if let Some(asker) = &mut self.asker {
                    note_question(record, asker);
                }
                self.ring(&record.event);
                Ok(())
            }
            FeedEntry::Delta(delta) => self.human.delta(delta).map_err(CliError::Output),
            FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => Ok(()),
        }
    }

    fn show_presence(&mut self, presence: Presence) -> Result<(), CliError> {
        let Some(company) = &mut self.company else { return Ok(()) };
        let own = self.attached.connection().welcome().client_id;
        for line in company.see(presence, own) {
            self.human.remark(&line).map_err(CliError::Output)?;
        }
        Ok(())
    }

    /// Calls the person when it is their turn.
    fn ring(&self, event: &Event) {
        if let Event::QuestionAsked(asked) = event {
            self.bell.ring(&headline(&asked.question.kind), self.output);
        } else if let Event::TurnEnded(ended) = event {
            let verdict = Ending::Turn(Box::new(ended.clone())).verdict();
            self.bell.ring(&verdict.message, self.output);
        }
    }
}

fn note_question(record: &EventRecord, asker: &mut Asker) {
    if let Event::QuestionAsked(asked) = &record.event {
        if asked.question.kind.is_for_person() {
            asker.ask(asked.question.clone());
        }
    } else if let Event::QuestionAnswered(answered) = &record.event {
        asker.withdraw(answered.question_id);
    } else if let Event::QuestionWithdrawn(withdrawn) = &record.event {
        asker.withdraw(withdrawn.question_id);
    }
}
