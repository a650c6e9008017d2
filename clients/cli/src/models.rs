//! `skein models`: which models there are, which one is taken, and how one comes onto this machine.

use clap::{Args, Subcommand};
use protocol::api::model::ModelClient;
use protocol::catalogue::{
    Model, ModelChoice, ModelListParams, ModelListResult, ModelPullParams, ProviderModels, ProviderState,
    PullProgress,
};
use view::escape;
use view::words::thousands;

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::progress::{self, Bar};
use crate::table::{json, table};

/// What a shell says of a process that was interrupted.
const EXIT_INTERRUPTED: u8 = 130;

const LIST_AFTER: &str = "\
Without PROVIDER, only servers of this machine are asked, and of all others the built-in catalogue tells.
With PROVIDER, that one is asked over the network, with your key.

Examples:
  skein models list
  skein models list anthropic
  skein models list --json | jq -r .choice.model

Which one a new session takes: what `model` and `model_provider` of `config.toml` or the flags say; else the
provider whose key is in the environment, then one whose key is stored, then an account that is signed in,
then a server of models on this machine.";

const PULL_AFTER: &str = "\
Examples:
  skein models pull qwen3:8b
  skein models pull --provider lmstudio qwen/qwen3-8b

Ctrl-C stops it. What was fetched stays, and the next pull of the same model goes on there. LM Studio goes on by
itself until you stop it there.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List models, and say which one a new session takes, and why
    List(ListArgs),
    /// Fetch a model onto this machine, with Ollama or LM Studio
    Pull(PullArgs),
}

/// Which, and how to show them.
#[derive(Args, Debug)]
#[command(after_help = LIST_AFTER)]
pub(crate) struct ListArgs {
    /// Only this provider, which is asked for its list
    provider: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to fetch.
#[derive(Args, Debug)]
#[command(after_help = PULL_AFTER)]
pub(crate) struct PullArgs {
    /// The model, as the server's own library calls it
    #[arg(value_name = "NAME")]
    model: String,
    /// Which server fetches it: `ollama` or `lmstudio` [default: the one that runs]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
}

/// Runs one.
pub(crate) async fn run(command: ModelsCommand, output: Output) -> Result<u8, CliError> {
    match command {
        ModelsCommand::List(args) => list(args, output).await.map(|()| 0),
        ModelsCommand::Pull(args) => pull(args, output).await,
    }
}

/// What a new session takes, and why, on one line; with what to do where there is nothing.
pub(crate) fn chosen(choice: &ModelChoice) -> String {
    let reason = &choice.reason;
    match (&choice.provider, &choice.model) {
        (Some(provider), Some(model)) => format!("{model} ({provider}): {reason}"),
        (Some(provider), None) => format!("{provider}, and no model is chosen: {reason}"),
        (None, _) => reason.clone(),
    }
}

/// The same as a sentence.
pub(crate) fn sentence(choice: &ModelChoice, output: Output) -> String {
    let subject = match choice.provider {
        Some(_) => "a new session takes",
        None => "a new session can't begin:",
    };
    format!("{} {}", output.out.dim(subject), escape::line(&chosen(choice)))
}

async fn list(args: ListArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein models", output).await?;
    let params = ModelListParams { provider: args.provider.clone() };
    let found = connection.call(async |rpc| rpc.list_models(params.clone()).await).await?;
    if args.json {
        return json(&found, output);
    }
    output.write(&listed(&found, args.provider.is_some(), output)).map_err(CliError::Output)
}

fn listed(found: &ModelListResult, is_one: bool, output: Output) -> String {
    let style = output.out;
    let mut text = format!("{}\n", sentence(&found.choice, output));
    if let Some(hint) = &found.choice.hint {
        text.push_str(&format!("{}\n", style.dim(escape::prose(hint))));
    }
    for provider in &found.providers {
        text.push('\n');
        text.push_str(&heading(provider, output));
        let is_usable = matches!(provider.state, ProviderState::Ready { .. });
        // What can't be used is not listed at length, unless it was asked for.
        if !provider.models.is_empty() && (is_usable || is_one) {
            let headings = ["model", "context", "output", "$ in/out", "can", "on this machine"];
            let rows: Vec<_> = provider.models.iter().map(cells).collect();
            text.push_str(&table(&headings, &rows, output));
        }
    }
    text
}

fn heading(provider: &ProviderModels, output: Output) -> String {
    let style = output.out;
    let name = format!("{} ({})", escape::line(&provider.name), escape::line(&provider.id));
    let line =
        |mark: &str, more: &str| format!("{}  {mark}  {}\n", style.bold(name.as_str()), escape::prose(more));
    let hint = |hint: &str| format!("{}\n", style.dim(escape::prose(hint)));
    match &provider.state {
        ProviderState::Ready { through } => line(&style.green("ready"), through),
        ProviderState::NoCredential { hint: what } => line(&style.yellow("no key"), what),
        ProviderState::NotRunning { message, hint: what } => {
            line(&style.yellow("not running"), message) + &hint(what)
        }
        ProviderState::Failed { message } => line(&style.red("failed"), message),
        ProviderState::Unknown(_) => line("?", ""),
    }
}

fn cells(model: &Model) -> Vec<String> {
    let facts = &model.facts;
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), thousands);
    let price = facts.price.map_or_else(
        || "?".to_owned(),
        |price| match price.input == 0.0 && price.output == 0.0 {
            true => "free".to_owned(),
            false => format!("{}/{}", price.input, price.output),
        },
    );
    let abilities = [
        (facts.has_tools, "tools"),
        (facts.has_images, "images"),
        (facts.has_reasoning, "reasoning"),
        (facts.has_structured_output, "schema"),
    ];
    let can: Vec<_> = abilities.iter().filter(|(can, _)| *can == Some(true)).map(|(_, word)| *word).collect();
    let here = model.local.as_ref().map(|local| {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(local.size_bytes.map(progress::size));
        parts.extend([&local.parameters, &local.quantization].into_iter().flatten().cloned());
        if local.is_loaded {
            let context = local.loaded_context.map(|context| format!(" with {}", thousands(context)));
            parts.push(format!("loaded{}", context.unwrap_or_default()));
        }
        parts.join(" ")
    });
    vec![
        escape::line(&model.name).into_owned(),
        number(facts.context_window),
        number(facts.max_output_tokens),
        price,
        can.join(" "),
        escape::line(&here.unwrap_or_default()).into_owned(),
    ]
}

async fn pull(args: PullArgs, output: Output) -> Result<u8, CliError> {
    let connection = connect("skein models", output).await?;
    let params = ModelPullParams { provider: args.provider, model: args.model.clone() };
    let mut feed = connection.rpc().pull(params).await?;
    let mut bar = Bar::new(output);
    let lost = || CliError::Failed {
        message: "The daemon went away while the model was fetched".to_owned(),
        hint: Some("Pull again; it goes on where it stopped".to_owned()),
    };
    loop {
        let progress = tokio::select! {
            progress = feed.next() => progress,
            _ = tokio::signal::ctrl_c() => {
                // The daemon closes the way to the server when the subscription ends.
                let _ = feed.unsubscribe().await;
                bar.end();
                output.note("stopped; the next pull goes on where this one stopped");
                return Ok(EXIT_INTERRUPTED);
            }
        };
        let Some(Ok(progress)) = progress else {
            bar.end();
            return Err(lost());
        };
        match progress {
            PullProgress::Started { provider } => {
                output.note(output.err.dim(format!("{provider} fetches {}", escape::line(&args.model))));
            }
            PullProgress::Fetching { status, completed_bytes, total_bytes } => {
                bar.show(&escape::line(&status), completed_bytes, total_bytes);
            }
            PullProgress::Completed => {
                bar.end();
                let name = escape::line(&args.model);
                output.line(format_args!("{name} is there")).map_err(CliError::Output)?;
                return Ok(0);
            }
            PullProgress::Failed { message, hint } => {
                bar.end();
                return Err(CliError::Failed { message, hint });
            }
            PullProgress::Unknown(_) => {}
        }
    }
}
