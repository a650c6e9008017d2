//! `skein mcp login` and `skein mcp logout`: a person signs in with a server over HTTP. Where the browser can't reach
//! this machine, the address that it ends at is typed in.

use std::io::BufRead;
use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use client::Connection;
use protocol::account::{Account, LoginId, LoginRef, LoginStatus, SecretText};
use protocol::api::account::AccountClient;
use protocol::api::mcp::McpClient;
use protocol::mcp::{McpFinishLoginParams, McpLoginParams, McpLogoutParams};
use tokio::sync::mpsc;
use view::escape;

use crate::account::told;
use crate::connect::connect;
use crate::error::CliError;
use crate::login::{EXIT_INTERRUPTED, open};
use crate::output::Output;

/// The longest line that is read; no address is longer.
const MAX_LINE: usize = 16 * 1024;
/// Lines that wait to be sent; the reader waits then.
const LINES: usize = 4;

const LOGIN_AFTER: &str = "\
Examples:
  skein mcp login tracker
  skein mcp login tracker --scopes issues:read,issues:write

Open the page that is shown. If your browser runs on another machine, it ends at an address that it can't open; copy
the whole of it and paste it here.

What you sign in for is kept in the keyring of the platform; where there is none, in a file that only you can read.";

/// Whom to sign in with.
#[derive(Args, Debug)]
#[command(after_help = LOGIN_AFTER)]
pub(crate) struct McpLoginArgs {
    /// The server
    name: String,
    /// What leave to ask for beside what was given before, separated by commas [default: what the settings say, or what
    /// the server names]
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<String>,
}

/// What to forget.
#[derive(Args, Debug)]
pub(crate) struct McpLogoutArgs {
    /// The server
    name: String,
}

/// Signs in.
pub(crate) async fn login(args: McpLoginArgs, output: Output) -> Result<u8, CliError> {
    let McpLoginArgs { name, scopes } = args;
    let connection = connect("skein mcp login", output).await?;
    let params = McpLoginParams { cwd: here()?, name: name.clone(), scopes };
    // Listened to from here on: a sign-in that has begun is to be given up, not left behind.
    let mut given_up = pin!(tokio::signal::ctrl_c());
    let begun = tokio::select! {
        biased;
        _ = &mut given_up => return Ok(EXIT_INTERRUPTED),
        begun = connection.rpc().begin_login(params) => begun?,
    };
    output
        .note(format_args!("Open this page in a browser, and sign in:\n\n  {}\n", escape::line(&begun.url)));
    output
        .note("If the browser ends at an address that it can't open, paste the whole of that address here.");
    open(&begun.url, output);
    let reference = LoginRef { login_id: begun.login_id };
    let mut lines = lines();
    // Asked again and again, and not dropped while lines come.
    let mut ending = Box::pin(ended(&connection, reference));
    let status = loop {
        tokio::select! {
            status = &mut ending => break status?,
            Some(line) = lines.recv() => paste(&connection, begun.login_id, line, output).await,
            _ = &mut given_up => {
                connection.rpc().cancel_login(reference).await?;
                output.note("gave up the sign-in; nothing has changed");
                return Ok(EXIT_INTERRUPTED);
            }
        }
    };
    match status {
        Ok(account) => {
            let how = account.credential.as_ref().map(told).unwrap_or_default();
            output
                .line(format_args!("signed in with {}: {how}", escape::line(&name)))
                .map_err(CliError::Output)?;
            Ok(0)
        }
        Err(message) => Err(CliError::Failed {
            message,
            hint: Some(format!("Begin again with `skein mcp login {name}`")),
        }),
    }
}

/// Forgets what somebody signed in for.
pub(crate) async fn logout(args: McpLogoutArgs, output: Output) -> Result<(), CliError> {
    let connection = connect("skein mcp logout", output).await?;
    let params = McpLogoutParams { cwd: here()?, name: args.name.clone() };
    let result = connection.rpc().sign_out(params).await?;
    let name = escape::line(&args.name);
    let line = match result.was_stored {
        true => format!("forgot what you signed in with {name} for"),
        false => format!("nobody was signed in with {name}"),
    };
    output.line(line).map_err(CliError::Output)
}

/// How it ended: the account, or why there is none.
async fn ended(connection: &Connection, reference: LoginRef) -> Result<Result<Account, String>, CliError> {
    loop {
        match connection.rpc().await_login(reference).await? {
            LoginStatus::Pending | LoginStatus::Unknown(_) => {}
            LoginStatus::Completed { account } => return Ok(Ok(account)),
            LoginStatus::Failed { message } => return Ok(Err(message)),
        }
    }
}

/// Sends what was pasted. What is not the address is said, and another one can be pasted.
async fn paste(connection: &Connection, login_id: LoginId, line: SecretText, output: Output) {
    if line.0.trim().is_empty() {
        return;
    }
    let params = McpFinishLoginParams { login_id, address: line };
    if let Err(error) = connection.rpc().finish_login(params).await {
        let error = CliError::from(error);
        output.note(format_args!("{} {}", output.err.red("error:"), escape::prose(&error.to_string())));
        if let Some(hint) = error.hint() {
            output.note(format_args!("{} {}", output.err.cyan("hint:"), escape::prose(&hint)));
        }
    }
}

/// The lines of standard input. They are read on a thread that nobody waits for: it may never come back.
fn lines() -> mpsc::Receiver<SecretText> {
    let (tell, told) = mpsc::channel(LINES);
    let reading = move || {
        let mut input = std::io::stdin().lock();
        let mut line = SecretText(String::new());
        while let Ok(1..) = std::io::Read::take(&mut input, MAX_LINE as u64).read_line(&mut line.0) {
            let read = std::mem::replace(&mut line, SecretText(String::new()));
            if tell.blocking_send(read).is_err() {
                return;
            }
        }
    };
    // Without it a browser on this machine still can come.
    let _ = std::thread::Builder::new().name("skein-paste".to_owned()).spawn(reading);
    told
}

fn here() -> Result<PathBuf, CliError> {
    std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't tell the current folder", source })
}
