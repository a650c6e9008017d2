//! `skein login` and `skein logout`: keys and accounts come to the daemon, and go. A key is typed hidden or piped in,
//! never given as an argument, where every process of the machine could read it.

use std::io::{self, IsTerminal, Read};
use std::pin::pin;
use std::process::{Command, Stdio};

use clap::Args;
use client::Connection;
use protocol::account::{
    Account, AccountListParams, AccountLoginParams, AccountLogoutParams, AccountSetKeyParams, Credential,
    CredentialPlace, LoginMethod, LoginRef, LoginStatus, SecretText,
};
use protocol::api::account::AccountClient;
use view::escape;

use crate::account::{place, told};
use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;

/// What a shell says of a process that was interrupted.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;
/// The provider that is meant where nobody names one.
const USUAL_ACCOUNT: &str = "chatgpt";
const USUAL_KEY: &str = "openai";
/// No key is longer.
const MAX_KEY_BYTES: u64 = 64 * 1024;

const LOGIN_AFTER: &str = "\
Examples:
  skein login                                sign in with a ChatGPT account, in a browser on this machine
  skein login --device-auth                  the same by a code that is typed into a browser anywhere
  skein login anthropic                      type a key, which is not shown
  printenv KEY | skein login openai --with-api-key

A key is kept in the keyring of the platform; where there is none, in a file that only you can read, and it is
said so. A key in the environment goes before a stored one. `skein whoami` shows what is used.";

const LOGOUT_AFTER: &str = "\
Examples:
  skein logout                               the only one that there is
  skein logout anthropic";

/// Whom to sign in with.
#[derive(Args, Debug, Default)]
#[command(after_help = LOGIN_AFTER)]
pub(crate) struct LoginArgs {
    /// The provider [default: `chatgpt`; with --with-api-key: `openai`]
    provider: Option<String>,
    /// Store a key, typed or piped in
    #[arg(long)]
    with_api_key: bool,
    /// Sign in by a code, for machines without a browser
    #[arg(long, conflicts_with = "with_api_key")]
    device_auth: bool,
}

/// What to forget.
#[derive(Args, Debug)]
#[command(after_help = LOGOUT_AFTER)]
pub(crate) struct LogoutArgs {
    /// The provider; needed where more than one is stored
    provider: Option<String>,
}

/// Signs in, or stores a key.
pub(crate) async fn login(args: LoginArgs, output: Output) -> Result<u8, CliError> {
    let mut connection = connect("skein login", output).await?;
    let usual = if args.with_api_key { USUAL_KEY } else { USUAL_ACCOUNT };
    let id = args.provider.unwrap_or_else(|| usual.to_owned());
    let accounts = connection.call(async |rpc| rpc.list_accounts(AccountListParams {}).await).await?.accounts;
    let Some(account) = accounts.iter().find(|account| account.provider == id) else {
        let known: Vec<_> = accounts.iter().map(|account| format!("`{}`", account.provider)).collect();
        return Err(CliError::usage(
            format!("There is no provider `{id}` that needs a key or an account"),
            format!("Choose one of {}", known.join(", ")),
        ));
    };
    match (account.has_sign_in, args.with_api_key, args.device_auth) {
        (true, false, is_device) => sign_in(&connection, account, is_device, output).await,
        (false, _, false) => store(&connection, account, output).await,
        (true, true, _) => Err(CliError::usage(
            format!("The provider `{id}` takes an account and no key"),
            format!("Sign in with `skein login {id}`"),
        )),
        (false, _, true) => Err(CliError::usage(
            format!("The provider `{id}` takes a key and has no accounts"),
            format!("Store it with `skein login {id}`"),
        )),
    }
}

/// Forgets a key or an account.
pub(crate) async fn logout(args: LogoutArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein logout", output).await?;
    let accounts = connection.call(async |rpc| rpc.list_accounts(AccountListParams {}).await).await?.accounts;
    let is_kept = |account: &&Account| {
        matches!(account.credential, Some(Credential::Stored { .. } | Credential::SignedIn { .. }))
    };
    let provider = match args.provider {
        Some(provider) => provider,
        None => match accounts.iter().filter(is_kept).collect::<Vec<_>>()[..] {
            [only] => only.provider.clone(),
            [] => {
                let hint =
                    "A key in the environment goes away with its variable; `skein whoami` shows what is used";
                return Err(CliError::usage("Nothing is stored that is in use", hint));
            }
            ref several => {
                let names: Vec<_> = several.iter().map(|account| format!("`{}`", account.provider)).collect();
                return Err(CliError::usage(
                    "More than one is stored",
                    format!("Name one of {}", names.join(", ")),
                ));
            }
        },
    };
    let params = AccountLogoutParams { provider: provider.clone() };
    let result = connection.rpc().logout(params).await?;
    let shown = escape::line(&provider);
    let line = match result.was_stored {
        true => format!("forgot what was stored of {shown}"),
        false => format!("nothing was stored of {shown}"),
    };
    output.line(line).map_err(CliError::Output)?;
    if let Some(left) = &result.left {
        output.note(format_args!("note: still used for {shown}: {}", told(left)));
    }
    Ok(())
}

async fn store(connection: &Connection, account: &Account, output: Output) -> Result<u8, CliError> {
    let mut given_up = pin!(tokio::signal::ctrl_c());
    if io::stdin().is_terminal() {
        // Listened to from here on: who dies while the key is typed leaves a terminal that shows nothing.
        tokio::select! {
            biased;
            _ = &mut given_up => return Ok(EXIT_INTERRUPTED),
            () = std::future::ready(()) => {}
        }
    }
    let Some(key) = key(&account.name)? else {
        output.note("given up; no key was stored");
        return Ok(EXIT_INTERRUPTED);
    };
    let params = AccountSetKeyParams { provider: account.provider.clone(), key };
    let result = tokio::select! {
        biased;
        _ = &mut given_up => return Ok(EXIT_INTERRUPTED),
        stored = connection.rpc().set_key(params) => stored?,
    };
    let name = escape::line(&account.name);
    output
        .line(format_args!("stored the key for {name} {}", place(&result.place)))
        .map_err(CliError::Output)?;
    if let CredentialPlace::File { reason: Some(reason), .. } = &result.place {
        output.note(format_args!("note: not in the keyring, because {}", escape::line(reason)));
    }
    if let Some(variable) = &result.hidden_by {
        output.note(format_args!("note: `{}` is set, and goes before it", escape::line(variable)));
    }
    Ok(0)
}

/// The key, typed hidden at a terminal, else from standard input; none where Ctrl+C was typed in its place.
fn key(name: &str) -> Result<Option<SecretText>, CliError> {
    let failed = |source| CliError::System { what: "Can't read the key", source };
    let mut key = SecretText(String::new());
    if io::stdin().is_terminal() {
        let prompt = format!("Key for {} (it is not shown): ", escape::line(name));
        match rpassword::prompt_password(prompt) {
            Ok(typed) => key.0 = typed,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
    } else {
        io::stdin().lock().take(MAX_KEY_BYTES).read_to_string(&mut key.0).map_err(failed)?;
    }
    if key.0.trim().is_empty() {
        return Err(CliError::usage(
            "There is no key on standard input",
            "Pipe it in, as in `printenv KEY | skein login PROVIDER --with-api-key`, or type it at a terminal",
        ));
    }
    Ok(Some(key))
}

async fn sign_in(
    connection: &Connection,
    account: &Account,
    is_device: bool,
    output: Output,
) -> Result<u8, CliError> {
    let method = if is_device { LoginMethod::Device } else { LoginMethod::Browser };
    let params = AccountLoginParams { provider: account.provider.clone(), method };
    // Listened to from here on: a sign-in that has begun is to be given up, not left behind.
    let mut given_up = pin!(tokio::signal::ctrl_c());
    let begun = tokio::select! {
        biased;
        _ = &mut given_up => return Ok(EXIT_INTERRUPTED),
        begun = connection.rpc().login(params) => begun?,
    };
    let url = escape::line(&begun.url);
    match &begun.user_code {
        Some(code) => {
            let code = output.err.bold(escape::line(code));
            output
                .note(format_args!("Open this page in any browser, and type the code {code}:\n\n  {url}\n"));
            output.note("Type only a code that you have asked for yourself, here and now.");
        }
        None => {
            output
                .note(format_args!("Open this page in a browser on this machine, and sign in:\n\n  {url}\n"));
            open(&begun.url, output);
        }
    }
    let reference = LoginRef { login_id: begun.login_id };
    loop {
        let status = tokio::select! {
            status = connection.rpc().await_login(reference) => status?,
            _ = &mut given_up => {
                connection.rpc().cancel_login(reference).await?;
                output.note("gave up the sign-in; nothing has changed");
                return Ok(EXIT_INTERRUPTED);
            }
        };
        match status {
            LoginStatus::Pending | LoginStatus::Unknown(_) => {}
            LoginStatus::Completed { account } => {
                let how = account.credential.as_ref().map(told).unwrap_or_default();
                let name = escape::line(&account.name);
                output.line(format_args!("signed in with {name}: {how}")).map_err(CliError::Output)?;
                return Ok(0);
            }
            LoginStatus::Failed { message } => {
                let hint = Some(format!("Begin again with `skein login {}`", account.provider));
                return Err(CliError::Failed { message, hint });
            }
        }
    }
}

/// Opens a page where a person sees it come. That it does not open is no failure: the address is shown.
pub(crate) fn open(url: &str, output: Output) {
    let is_there = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if is_there("DISPLAY") || is_there("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return;
    };
    if output.is_err_terminal && (url.starts_with("https://") || url.starts_with("http://")) {
        let _ = Command::new(program)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}
