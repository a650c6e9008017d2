//! The first start: how commands are confined here, what the folder declares, and which model answers. Asked once per
//! home, and not of somebody who has written settings already. What it does is done by the commands that it names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use client::{ClientError, Connection, Folders};
use protocol::account::{Account, AccountListParams};
use protocol::api::account::AccountClient;
use protocol::api::daemon::DaemonClient;
use protocol::api::model::ModelClient;
use protocol::api::trust::TrustClient;
use protocol::catalogue::{ModelChoice, ModelChoiceParams};
use protocol::daemon::DaemonStatusParams;
use protocol::profile::SandboxRung;
use protocol::trust::TrustReadParams;
use tokio::process::Command;
use view::escape;

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;

/// The file of the state folder that says that it was shown.
const MARK: &str = "welcomed";

/// Whether there is a model now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    /// There is, or at least somebody who has some.
    Model,
    /// The person sees to it later.
    Later,
}

/// Shows it, if it is to be shown.
pub(crate) async fn show(folder: &Path, output: Output) -> Result<(), CliError> {
    let folders = Folders::resolve().map_err(ClientError::from)?;
    let mark = folders.state.join(MARK);
    if mark.exists() || folders.config_file().exists() {
        return Ok(());
    }
    let mut connection = connect("skein", output).await?;
    say(output, &output.out.bold("Welcome to Skein. Three things before the first session."))?;
    sandbox(&mut connection, output).await?;
    trust(&mut connection, folder, output).await?;
    if model(&mut connection, output).await? == Chosen::Later {
        // What is missing, and what helps, is told when the session can't be made; the next start asks again.
        return Ok(());
    }
    say(output, "\nThat is all. `/init` has the agent write an AGENTS.md; `/help` lists the rest.\n")?;
    // Where it can't be remembered it is shown again, which does no harm.
    let _forgotten = fs::write(mark, "");
    Ok(())
}

async fn sandbox(connection: &mut Connection, output: Output) -> Result<(), CliError> {
    head(output, "1  Commands")?;
    let params = DaemonStatusParams { with_sandbox: true, with_storage: false };
    let status = connection.call(async |rpc| rpc.status(params.clone()).await).await?;
    let chosen = status.sandbox.map(|report| report.chosen);
    let text = match chosen {
        Some(SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock) => {
            "The agent's commands are confined, and that was tried just now: they write\n   \
             in this folder and in the temporary folders, and nowhere else, and reach no\n   \
             network, unless you allow it."
        }
        Some(SandboxRung::Refused) | None => {
            "Commands can't be confined on this machine, so they are refused.\n   \
             `skein doctor` says what is missing."
        }
    };
    say(output, &format!("   {text}"))
}

async fn trust(connection: &mut Connection, folder: &Path, output: Output) -> Result<(), CliError> {
    head(output, &format!("2  This folder, {}", escape::line(&folder.to_string_lossy())))?;
    let params = TrustReadParams { folder: folder.to_owned() };
    let found = connection.call(async |rpc| rpc.read_trust(params.clone()).await).await?;
    if found.untrusted() == 0 {
        return say(
            output,
            "   It declares nothing that would be run by itself. Should it ever, nothing of\n   \
             it is used before you have seen and trusted it.",
        );
    }
    say(
        output,
        "   It declares things that would be run or obeyed by themselves. They are used\n   \
         only if you trust them, exactly as they stand here. If you do not know who\n   \
         wrote them, say no; the agent works here in either case.\n",
    )?;
    run(&["config", "trust"], folder).await
}

async fn model(connection: &mut Connection, output: Output) -> Result<Chosen, CliError> {
    head(output, "3  A model")?;
    loop {
        let choice = connection.call(async |rpc| rpc.choice(ModelChoiceParams {}).await).await?;
        if let ModelChoice { provider: Some(provider), model: Some(model), reason, .. } = &choice {
            let (provider, model) = (escape::line(provider), escape::line(model));
            say(output, &format!("   {model} of {provider} answers: {}", escape::line(reason)))?;
            return Ok(Chosen::Model);
        }
        if let ModelChoice { provider: Some(provider), reason, hint, .. } = &choice {
            let what = format!("{} is used: {}", escape::line(provider), escape::line(reason));
            let hint = hint.as_deref().unwrap_or("`skein models list` lists its models");
            say(output, &format!("   {what}.\n   Its model is to be chosen still. {}", escape::line(hint)))?;
            return Ok(Chosen::Model);
        }
        let accounts =
            connection.call(async |rpc| rpc.list_accounts(AccountListParams {}).await).await?.accounts;
        say(output, &menu(&accounts))?;
        match answer(output, accounts.len())? {
            None => return Ok(Chosen::Later),
            Some(at) => {
                if let Some(account) = accounts.get(at) {
                    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
                    run(&["login", "--", &account.provider], &here).await?;
                }
            }
        }
    }
}

fn menu(accounts: &[Account]) -> String {
    let mut text = "   No key and no account was found.\n\n".to_owned();
    for (number, account) in (1..).zip(accounts) {
        let name = escape::line(&account.name);
        let what =
            if account.has_sign_in { format!("sign in with {name}") } else { format!("a key of {name}") };
        text.push_str(&format!("   {number:>5}  {what}\n"));
    }
    text.push_str("   Enter  later, or a model of this machine: `skein models list` says how");
    text
}

/// Which one of so many; absent: none now.
fn answer(output: Output, of: usize) -> Result<Option<usize>, CliError> {
    loop {
        output.note_part("   > ");
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map_err(|source| CliError::System { what: "Can't read the answer", source })?;
        match answer.trim() {
            "" => return Ok(None),
            number => match number.parse::<usize>() {
                Ok(number) if (1..=of).contains(&number) => return Ok(Some(number - 1)),
                Ok(_) | Err(_) => output.note(format_args!("   a number from 1 to {of}, or only Enter")),
            },
        }
    }
}

/// A command of this executable, with this terminal. How it ended is between it and the person.
async fn run(words: &[&str], folder: &Path) -> Result<(), CliError> {
    let failed = |source| CliError::System { what: "Can't run this executable", source };
    let executable = std::env::current_exe().map_err(failed)?;
    Command::new(executable).args(words).current_dir(folder).status().await.map_err(failed)?;
    Ok(())
}

fn head(output: Output, text: &str) -> Result<(), CliError> {
    say(output, &format!("\n{}", output.out.bold(text)))
}

fn say(output: Output, text: &str) -> Result<(), CliError> {
    output.line(text).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_says_what_each_provider_takes() {
        let account = |name: &str, has_sign_in| Account {
            provider: name.to_lowercase(),
            name: name.to_owned(),
            has_sign_in,
            credential: None,
        };
        let accounts = [account("ChatGPT", true), account("OpenAI\u{1b}[2J", false)];
        let text = menu(&accounts);
        assert!(
            text.contains("1  sign in with ChatGPT\n") && text.contains("2  a key of OpenAI\\e[2J\n"),
            "{text}"
        );
    }
}
