//! `skein questions`: what waits for somebody, in whichever session, and the answer to it.

use clap::{Args, Subcommand, ValueEnum};
use client::Connection;
use protocol::api::question::QuestionClient;
use protocol::ids::{QuestionId, RequestId};
use protocol::profile::NetworkProtocol;
use protocol::question::{
    Decision, GrantScope, OpenQuestion, QuestionAnswerParams, QuestionKind, QuestionListParams,
};
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::question::{details, headline};
use crate::reply::{self, Blank};
use crate::sessions::now;
use crate::table::json;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum QuestionsCommand {
    /// Show what waits, oldest first
    List(ListArgs),
    /// Answer one; the first answer wins
    Answer(AnswerArgs),
}

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which one, and what is decided.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  skein questions answer 0199a213 yes
  skein questions answer 0199a213 session              the same thing again need not be asked
  skein questions answer 0199a213 always               nor in any other session, where a rule was proposed
  skein questions answer 0199a213 no -m \"use the mirror\"
  skein questions answer 0199a213 2 \"a text\"           one answer for each thing that is asked")]
pub(crate) struct AnswerArgs {
    /// The question's id, or the beginning of it
    #[arg(value_name = "QUESTION")]
    question: String,
    /// yes, turn, session, always or no; or an answer for each thing that is asked, in order
    #[arg(required = true, value_name = "ANSWER")]
    answers: Vec<String>,
    /// What to do instead; the model reads it
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// This once
    Yes,
    /// The same thing again in this turn, too
    Turn,
    /// The same thing again in this session, too
    Session,
    /// The same thing again in every session; this writes a rule
    Always,
    /// It may not
    No,
}

/// Runs one.
pub(crate) async fn run(command: QuestionsCommand, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein questions", output).await?;
    match command {
        QuestionsCommand::List(args) => {
            let questions = open(&mut connection).await?;
            if args.json { json(&questions, output) } else { print(&questions, output) }
        }
        QuestionsCommand::Answer(args) => {
            let open = open(&mut connection).await?;
            let question_id = find(&open, &args.question)?;
            let question = open.iter().map(|open| &open.question).find(|question| question.id == question_id);
            let blanks = question.map(|question| reply::blanks(&question.kind)).unwrap_or_default();
            let decision = match question {
                Some(question) if !blanks.is_empty() => filled(&question.kind, &blanks, &args)?,
                Some(question) => decision(offered(&question.kind, choice(&args.answers)?)?, args.message)?,
                None => decision(choice(&args.answers)?, args.message)?,
            };
            let request_id = Some(RequestId::generate());
            let params = QuestionAnswerParams { question_id, decision, request_id };
            connection.call(async |rpc| rpc.answer(params.clone()).await).await?;
            Ok(())
        }
    }
}

async fn open(connection: &mut Connection) -> Result<Vec<OpenQuestion>, CliError> {
    let listed =
        connection.call(async |rpc| QuestionClient::list(rpc, QuestionListParams::default()).await).await?;
    Ok(listed.questions)
}

fn decision(choice: Choice, message: Option<String>) -> Result<Decision, CliError> {
    let scope = match choice {
        Choice::No => return Ok(Decision::Deny { message }),
        Choice::Yes => GrantScope::Once,
        Choice::Turn => GrantScope::Turn,
        Choice::Session => GrantScope::Session,
        Choice::Always => GrantScope::Always,
    };
    match message {
        None => Ok(Decision::Allow { scope }),
        Some(_) => Err(CliError::usage(
            "`--message` says what to do instead, so it goes with `no`",
            "To say something beside a yes, use `skein send`",
        )),
    }
}

fn choice(answers: &[String]) -> Result<Choice, CliError> {
    let word = match answers {
        [word] => Choice::from_str(word, true).ok(),
        _ => None,
    };
    word.ok_or_else(|| {
        CliError::usage(
            format!("`{}` is not an answer to it", answers.join(" ")),
            "Answer `yes`, `turn`, `session`, `always` or `no`",
        )
    })
}

/// The choice, if the question has it.
fn offered(kind: &QuestionKind, choice: Choice) -> Result<Choice, CliError> {
    match choice {
        Choice::Always if !words::offers_always(kind) => {
            let hint = match by_hand(kind) {
                Some(rule) => format!(
                    "Answer `session`, `turn` or `yes`; to open it for good, write `{rule}` into \
                     `rules/default.rules` beside `config.toml`"
                ),
                None => "Answer `session`, `turn` or `yes`".to_owned(),
            };
            Err(CliError::usage("There is no rule that this answer could write", hint))
        }
        Choice::Yes | Choice::Turn | Choice::Session | Choice::Always | Choice::No => Ok(choice),
    }
}

/// The rule that a person could write by hand.
fn by_hand(kind: &QuestionKind) -> Option<String> {
    let QuestionKind::Network { protocol, host, .. } = kind else { return None };
    let protocol = match protocol {
        NetworkProtocol::Http => "http",
        NetworkProtocol::Https => "https",
        NetworkProtocol::Socks5Tcp => "socks5_tcp",
    };
    Some(format!("network_rule(host={host:?}, protocol=\"{protocol}\", decision=\"allow\")"))
}

/// The answer to what has blanks: `no` alone declines, where no blank could mean it.
fn filled(kind: &QuestionKind, blanks: &[Blank], args: &AnswerArgs) -> Result<Decision, CliError> {
    if args.message.is_some() || (blanks.len() > 1 && args.answers == ["no"]) {
        return Ok(Decision::Deny { message: args.message.clone() });
    }
    if args.answers.len() != blanks.len() {
        let names: Vec<String> = blanks.iter().map(|blank| escape::short_line(&blank.text, 80)).collect();
        return Err(CliError::usage(
            format!("{} things are asked, and {} answered", blanks.len(), args.answers.len()),
            format!("Answer in this order: {}", names.join(", ")),
        ));
    }
    let fill = |(blank, text): (&Blank, &String)| match reply::fill(blank, text) {
        Ok(value) => Ok((blank.name.clone(), value)),
        Err(error) => Err(CliError::usage(error, "`skein questions list` shows what can be chosen")),
    };
    let filled = blanks.iter().zip(&args.answers).map(fill).collect::<Result<_, _>>()?;
    Ok(reply::decision(kind, filled))
}

fn find(questions: &[OpenQuestion], text: &str) -> Result<QuestionId, CliError> {
    let beginning = text.to_ascii_lowercase();
    let ids = questions.iter().map(|open| open.question.id);
    let mut found = ids.filter(|id| !beginning.is_empty() && id.to_string().starts_with(&beginning));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        // Perhaps answered already: the daemon knows, and says by whom.
        (None, _) => text.parse().map_err(|_| {
            CliError::usage(
                format!("No question that waits begins with `{text}`"),
                "`skein questions list` shows them",
            )
        }),
        (Some(first), Some(second)) => Err(CliError::usage(
            format!("Several questions begin with `{text}`: `{first}`, `{second}`"),
            "Type more of the id",
        )),
    }
}

fn print(questions: &[OpenQuestion], output: Output) -> Result<(), CliError> {
    if questions.is_empty() {
        output.note(output.err.dim("no question waits"));
        return Ok(());
    }
    let style = output.out;
    let mut text = String::new();
    for OpenQuestion { session_id, question, .. } in questions {
        let since = words::span(now().since(question.asked_at));
        text.push_str(&format!(
            "{} {}\n",
            style.bold(question.id.to_string()),
            style.dim(format!("{since} ago"))
        ));
        text.push_str(&format!("  {}\n", style.yellow(headline(&question.kind))));
        for line in details(&question.kind) {
            text.push_str(&format!("  {line}\n"));
        }
        text.push_str(&format!("  why it is asked: {}\n", escape::line(&question.reason)));
        text.push_str(&format!("  {}\n\n", style.dim(format!("session {session_id}"))));
    }
    output.write(&text).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use protocol::ids::{ItemId, SessionId, Timestamp, TurnId};
    use protocol::question::Question;

    use super::*;

    fn open(id: &str) -> OpenQuestion {
        let question = Question {
            id: id.parse().unwrap(),
            turn_id: TurnId::generate(),
            item_id: ItemId::generate(),
            asked_at: Timestamp(0),
            kind: QuestionKind::FileChange { patch: String::new() },
            reason: String::new(),
        };
        OpenQuestion { session_id: SessionId::generate(), agent: None, question }
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_if_it_is_the_only_one() {
        let questions =
            ["0199a213-81c0-7800-8aa1-bbab2a035a53", "0199a213-99c0-7800-8aa1-bbab2a035a53"].map(open);
        assert_eq!(find(&questions, "0199A213-8").unwrap(), questions[0].question.id);
        for text in ["0199", "02", "", "nonsense"] {
            assert!(find(&questions, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_goes_with_a_no() {
        let message = || Some("instead".to_owned());
        assert_eq!(decision(Choice::No, message()).unwrap(), Decision::Deny { message: message() });
        assert!(decision(Choice::Yes, message()).is_err());
        let always = Decision::Allow { scope: GrantScope::Always };
        assert_eq!(decision(Choice::Always, None).unwrap(), always);
    }

    #[test]
    fn always_is_refused_where_no_rule_can_be_written() {
        let change = QuestionKind::FileChange { patch: "+a".to_owned() };
        assert!(offered(&change, Choice::Always).is_err());
        assert!(offered(&change, Choice::Session).is_ok());
        let (protocol, host) = (NetworkProtocol::Socks5Tcp, "a.net".to_owned());
        let error = offered(&QuestionKind::Network { protocol, host, port: 22 }, Choice::Always).unwrap_err();
        let rule = "network_rule(host=\"a.net\", protocol=\"socks5_tcp\", decision=\"allow\")";
        assert!(error.hint().unwrap().contains(rule), "{:?}", error.hint());
    }
}
