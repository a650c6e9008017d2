//! `skein send`: a word into the running turn, or as the next one; and the queue of those that wait.

use clap::{ArgGroup, Args};
use client::Connection;
use protocol::api::queue::QueueClient;
use protocol::api::turn::TurnClient;
use protocol::ids::{QueuedId, RequestId, SessionId};
use protocol::queue::{QueueCancelParams, QueueListParams, QueueUpdateParams};
use protocol::session::{QueuedInput, SessionStatus};
use protocol::turn::{InputPart, TurnEnqueueParams, TurnSteerParams};
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::sessions::now;
use crate::table::table;

/// Letters of an input in a table.
const SHOWN_LETTERS: usize = 60;

/// What to say, and to whom; or what to do with the queue.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  skein send 0199a213-81c0 \"leave the tests alone\"     into the running turn, or a new one
  skein send --last --next \"then write the changelog\"   after the running turn

What waits in the queue, every client may change:
  skein send --last --queue                             list it, the next one first
  skein send --last --edit 0199b3 \"then the manual\"
  skein send --last --move 0199b3 1                     to the front
  skein send --last --cancel 0199b3")]
#[command(group = ArgGroup::new("on_queue").conflicts_with_all(["text", "next"]))]
pub(crate) struct SendArgs {
    /// The session's id, or the beginning of it [with --last: the text]
    #[arg(value_name = "SESSION", required_unless_present = "last")]
    session: Option<String>,
    /// What to say
    text: Option<String>,
    /// The session of this folder that was used last
    #[arg(long)]
    last: bool,
    /// Say it when the running turn has ended, not into it
    #[arg(long)]
    next: bool,
    /// List what waits in the queue
    #[arg(long, group = "on_queue")]
    queue: bool,
    /// Say something else instead, when its turn comes
    #[arg(long, group = "on_queue", num_args = 2, value_names = ["ID", "TEXT"])]
    edit: Option<Vec<String>>,
    /// Put it elsewhere in the queue; 1 is the next one
    #[arg(long = "move", group = "on_queue", num_args = 2, value_names = ["ID", "POSITION"])]
    place: Option<Vec<String>>,
    /// Take it out of the queue
    #[arg(long, group = "on_queue", value_name = "ID")]
    cancel: Option<String>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Say { text: String, is_next: bool },
    List,
    Edit { id: String, text: String },
    Move { id: String, position: u32 },
    Cancel { id: String },
}

impl SendArgs {
    /// Which session is named, and what is to be done there.
    fn task(self) -> Result<(Option<String>, Task), CliError> {
        let Self { session, text, last, next, queue, edit, place, cancel } = self;
        let task = match (edit.as_deref(), place.as_deref(), cancel) {
            (Some([id, text]), None, None) => Some(Task::Edit { id: id.clone(), text: text.clone() }),
            (None, Some([id, position]), None) => {
                Some(Task::Move { id: id.clone(), position: place_from_text(position)? })
            }
            (None, None, Some(id)) => Some(Task::Cancel { id }),
            _ => queue.then_some(Task::List),
        };
        if let Some(task) = task {
            return Ok((session, task));
        }
        match (last, session, text) {
            (true, Some(text), None) => Ok((None, Task::Say { text, is_next: next })),
            (false, session @ Some(_), Some(text)) => Ok((session, Task::Say { text, is_next: next })),
            (true, Some(_), Some(_)) => {
                Err(CliError::usage("Which session?", "Name one, or pass `--last`, and then the text"))
            }
            (_, None, _) | (false, Some(_), None) => {
                Err(CliError::usage("Nothing is said", "Put the text last; `--queue` lists what waits"))
            }
        }
    }
}

/// Says something, or changes the queue.
pub(crate) async fn send(args: SendArgs, output: Output) -> Result<(), CliError> {
    let is_last = args.last;
    let (session, task) = args.task()?;
    let mut connection = connect("skein send", output).await?;
    let session_id = select::named(&mut connection, session.as_deref(), is_last).await?;
    let mut queue = Queue { connection, session_id, output };
    match task {
        Task::Say { text, is_next } => queue.say(text, is_next).await,
        Task::List => queue.list().await,
        Task::Edit { id, text } => {
            let input = Some(vec![InputPart::Text { text }]);
            queue.update(&id, input, None).await
        }
        Task::Move { id, position } => queue.update(&id, None, Some(position - 1)).await,
        Task::Cancel { id } => queue.cancel(&id).await,
    }
}

/// A session to which something is said.
struct Queue {
    connection: Connection,
    session_id: SessionId,
    output: Output,
}

impl Queue {
    /// Says it into the running turn, or, if none runs or it is to come next, as the input of a turn of its own.
    async fn say(&mut self, text: String, is_next: bool) -> Result<(), CliError> {
        let (session_id, output) = (self.session_id, self.output);
        let input = vec![InputPart::Text { text }];
        let request_id = Some(RequestId::generate());
        let is_busy = match select::read(&mut self.connection, session_id).await?.status {
            SessionStatus::Running { .. } | SessionStatus::Waiting { .. } => true,
            SessionStatus::Idle
            | SessionStatus::Archived
            | SessionStatus::Damaged { .. }
            | SessionStatus::Unknown(_) => false,
        };
        if is_busy && !is_next {
            let params = TurnSteerParams { session_id, input, expected_turn_id: None, request_id };
            self.connection.call(async |rpc| rpc.steer(params.clone()).await).await?;
            output.note(output.err.dim("said into the running turn"));
            return Ok(());
        }
        let params = TurnEnqueueParams { session_id, input, request_id };
        let enqueued = self.connection.call(async |rpc| rpc.enqueue(params.clone()).await).await?;
        output.note(output.err.dim(match (enqueued.position, enqueued.queued_id) {
            (0, _) => format!("a turn was started; follow it with `skein logs {session_id} -f`"),
            (position, None) => format!("number {position} in the queue"),
            (position, Some(id)) => {
                format!("number {position} in the queue; take it back with `skein send {session_id} --cancel {id}`")
            }
        }));
        Ok(())
    }

    async fn list(&mut self) -> Result<(), CliError> {
        let queue = self.waiting().await?;
        if queue.is_empty() {
            self.output.note(self.output.err.dim("nothing waits"));
            return Ok(());
        }
        let now = now();
        let row = |(index, queued): (usize, &QueuedInput)| {
            vec![
                (index + 1).to_string(),
                queued.id.to_string(),
                format!("{} ago", words::span(now.since(queued.queued_at))),
                escape::line(&queued.actor.name).into_owned(),
                shown(&queued.input),
            ]
        };
        let rows: Vec<Vec<String>> = queue.iter().enumerate().map(row).collect();
        let headings = ["#", "ID", "SINCE", "BY", "TEXT"];
        self.output.write(&table(&headings, &rows, self.output)).map_err(CliError::Output)
    }

    async fn update(
        &mut self,
        id: &str,
        input: Option<Vec<InputPart>>,
        position: Option<u32>,
    ) -> Result<(), CliError> {
        let (session_id, queued_id) = (self.session_id, find(&self.waiting().await?, id)?);
        let request_id = Some(RequestId::generate());
        let params = QueueUpdateParams { session_id, queued_id, input, position, request_id };
        self.connection.call(async |rpc| rpc.update(params.clone()).await).await?;
        self.list().await
    }

    async fn cancel(&mut self, id: &str) -> Result<(), CliError> {
        let (session_id, queued_id) = (self.session_id, find(&self.waiting().await?, id)?);
        let request_id = Some(RequestId::generate());
        let params = QueueCancelParams { session_id, queued_id, request_id };
        self.connection.call(async |rpc| rpc.cancel(params.clone()).await).await?;
        self.output.note(self.output.err.dim("it is not said any more"));
        Ok(())
    }

    async fn waiting(&mut self) -> Result<Vec<QueuedInput>, CliError> {
        let params = QueueListParams { session_id: self.session_id };
        let listed = self.connection.call(async |rpc| QueueClient::list(rpc, params.clone()).await).await?;
        Ok(listed.queue)
    }
}

/// What is said in an input, as far as it is seen at a glance.
pub(crate) fn shown(input: &[InputPart]) -> String {
    let words = input.iter().map(|part| match part {
        InputPart::Text { text } => text.trim(),
        InputPart::Image { .. } | InputPart::StoredImage { .. } => "[image]",
        InputPart::Skill { .. } => "[skill]",
        InputPart::Resource { .. } => "[resource]",
        InputPart::Unknown(_) => "[…]",
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let cut: String = text.chars().take(SHOWN_LETTERS).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", escape::line(&cut))
}

fn place_from_text(text: &str) -> Result<u32, CliError> {
    text.parse().ok().filter(|place| *place > 0).ok_or_else(|| {
        CliError::usage(format!("`{text}` is no place in the queue"), "Count from 1, which is the next one")
    })
}

/// The queued input that a text names by its id, or the beginning of it.
fn find(queue: &[QueuedInput], text: &str) -> Result<QueuedId, CliError> {
    let beginning = text.to_ascii_lowercase();
    let mut found = queue.iter().map(|queued| queued.id).filter(|id| id.to_string().starts_with(&beginning));
    match (found.next().filter(|_| !text.is_empty()), found.next()) {
        (Some(id), None) => Ok(id),
        // Perhaps it has begun: the daemon knows.
        (None, _) => text.parse().map_err(|_| {
            CliError::usage(
                format!("Nothing that waits has an id that begins with `{text}`"),
                "`skein send SESSION --queue` lists what waits",
            )
        }),
        (Some(first), Some(second)) => Err(CliError::usage(
            format!("Several ids begin with `{text}`: `{first}`, `{second}`"),
            "Type more of the id",
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use protocol::ids::{ClientId, Timestamp};
    use protocol::turn::Actor;

    use super::*;

    #[derive(Debug, Parser)]
    struct Send {
        #[command(flatten)]
        args: SendArgs,
    }

    fn task(line: &[&str]) -> Option<(Option<String>, Task)> {
        Send::try_parse_from([&["send"], line].concat()).ok()?.args.task().ok()
    }

    fn says(text: &str, is_next: bool) -> Task {
        Task::Say { text: text.to_owned(), is_next }
    }

    #[test]
    fn what_is_said_is_the_last_word() {
        let session = || Some("0199".to_owned());
        assert_eq!(task(&["0199", "stop that"]), Some((session(), says("stop that", false))));
        assert_eq!(task(&["--last", "--next", "go on"]), Some((None, says("go on", true))));
        for line in [&["0199"][..], &["--last"], &["--last", "0199", "x"], &[]] {
            assert_eq!(task(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_queue_is_listed_edited_reordered_and_shortened() {
        let session = || Some("0199".to_owned());
        let id = || "01ab".to_owned();
        assert_eq!(task(&["0199", "--queue"]), Some((session(), Task::List)));
        assert_eq!(task(&["--last", "--queue"]), Some((None, Task::List)));
        let edit = Task::Edit { id: id(), text: "the manual".to_owned() };
        assert_eq!(task(&["0199", "--edit", "01ab", "the manual"]), Some((session(), edit)));
        let place = Task::Move { id: id(), position: 2 };
        assert_eq!(task(&["--last", "--move", "01ab", "2"]), Some((None, place)));
        assert_eq!(task(&["0199", "--cancel", "01ab"]), Some((session(), Task::Cancel { id: id() })));
        for line in [
            &["0199", "--queue", "text"][..],
            &["0199", "--queue", "--cancel", "01ab"],
            &["0199", "--move", "01ab", "0"],
            &["0199", "--move", "01ab", "up"],
            &["0199", "--edit", "01ab"],
            &["0199", "--next", "--queue"],
        ] {
            assert_eq!(task(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
        let queued = |id: &str| QueuedInput {
            id: id.parse().unwrap(),
            input: Vec::new(),
            actor: Actor { client_id: ClientId::generate(), name: String::new() },
            queued_at: Timestamp(0),
        };
        let queue =
            ["0199a213-81c0-7800-8aa1-bbab2a035a53", "0199a213-99c0-7800-8aa1-bbab2a035a53"].map(queued);
        assert_eq!(find(&queue, "0199A213-9").unwrap(), queue[1].id);
        let begun = "0199a213-77c0-7800-8aa1-bbab2a035a53";
        assert_eq!(find(&queue, begun).unwrap().to_string(), begun);
        for text in ["0199", "02", "", "nonsense"] {
            assert!(find(&queue, text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_input_is_shown_at_a_glance() {
        let text = |text: &str| InputPart::Text { text: text.to_owned() };
        let image = InputPart::Image { media_type: String::new(), data: String::new() };
        assert_eq!(shown(&[text("see\nthis "), image]), "see\\nthis [image]");
        assert_eq!(shown(&[text(&"x".repeat(99))]), format!("{}…", "x".repeat(SHOWN_LETTERS)));
    }
}
