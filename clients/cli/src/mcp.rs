//! `skein mcp`: the MCP servers of the settings. Changes of the file leave everything else in it as it is.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::{ClientError, Folders};
use protocol::api::mcp::McpClient;
use protocol::mcp::{McpListParams, McpListResult, McpServerState, McpServerStatus};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::connect::connect;
use crate::error::CliError;
use crate::mcp_login::{self, McpLoginArgs, McpLogoutArgs};
use crate::output::Output;
use crate::table;

const ADD_AFTER: &str = "\
Examples:
  skein mcp add memory -- npx -y @modelcontextprotocol/server-memory
  skein mcp add docs --env TOKEN=abc -- docs-server --stdio
  skein mcp add tracker --url https://mcp.example.com/mcp --bearer-token-env-var TRACKER_TOKEN";

/// The table of the settings.
const SERVERS: &str = "mcp_servers";

/// Characters of a description.
const DESCRIPTION: usize = 100;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Write a server into `config.toml`
    Add(AddArgs),
    /// List the servers, how they are, and what their tools cost
    List(ListArgs),
    /// Start a server and show its tools
    Get(GetArgs),
    /// Take a server out of `config.toml`
    Remove(RemoveArgs),
    /// Sign in with a server over HTTP
    Login(McpLoginArgs),
    /// Forget what you signed in with a server for
    Logout(McpLogoutArgs),
}

/// A server.
#[derive(Args, Debug)]
#[command(after_help = ADD_AFTER)]
pub(crate) struct AddArgs {
    /// What it is called: letters, digits, `-` and `_`
    name: String,
    /// Where it is, if it is not a program
    #[arg(long, value_name = "URL", conflicts_with_all = ["env", "env_var", "command"])]
    url: Option<String>,
    /// The environment variable that holds its token
    #[arg(long, value_name = "NAME", requires = "url")]
    bearer_token_env_var: Option<String>,
    /// A header of every request
    #[arg(long, value_name = "NAME=VALUE", requires = "url")]
    header: Vec<String>,
    /// A variable that it gets
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A variable of yours that it gets too
    #[arg(long, value_name = "NAME")]
    env_var: Vec<String>,
    /// The program and its arguments
    #[arg(last = true, required_unless_present = "url")]
    command: Vec<String>,
}

/// How to list them.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Start those that do not run, and wait for them
    #[arg(long)]
    start: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// The server
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The server
    name: String,
}

/// Runs one; its exit code.
pub(crate) async fn run(command: McpCommand, output: Output) -> Result<u8, CliError> {
    let done = match command {
        McpCommand::Login(args) => return mcp_login::login(args, output).await,
        McpCommand::Logout(args) => mcp_login::logout(args, output).await,
        McpCommand::Add(args) => {
            let name = args.name.clone();
            let file = change(SERVERS, |servers| add(servers, args))?;
            output.note(format_args!("`{name}` is in {}; `skein mcp get {name}` tries it", file.display()));
            Ok(())
        }
        McpCommand::Remove(args) => {
            let file = change(SERVERS, |servers| match servers.remove(&args.name) {
                Some(_) => Ok(()),
                None => Err(CliError::usage(
                    format!("There is no MCP server `{}` in the settings", args.name),
                    "See those there are with `skein mcp list`",
                )),
            })?;
            output.note(format_args!("`{}` is no longer in {}", args.name, file.display()));
            Ok(())
        }
        McpCommand::List(args) => {
            let listed = listed(None, args.start, output).await?;
            if args.json { table::json(&listed.servers, output) } else { show(&listed.servers, output) }
        }
        McpCommand::Get(args) => {
            let listed = listed(Some(args.name), true, output).await?;
            if args.json {
                return table::json(&listed.servers.first(), output).map(|()| 0);
            }
            listed.servers.iter().try_for_each(|server| show_one(server, output))
        }
    };
    done.map(|()| 0)
}

async fn listed(name: Option<String>, starts: bool, output: Output) -> Result<McpListResult, CliError> {
    let cwd = std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't tell the current folder", source })?;
    let connection = connect("skein mcp", output).await?;
    Ok(connection.rpc().list_servers(McpListParams { cwd, name, starts }).await?)
}

fn show(servers: &[McpServerStatus], output: Output) -> Result<(), CliError> {
    if servers.is_empty() {
        output.note("No MCP servers; `skein mcp add --help` tells how to add one");
        return Ok(());
    }
    let row = |server: &McpServerStatus| {
        let count = server.tools.len().to_string();
        vec![server.name.clone(), word(&server.state), count, server.tokens.to_string(), what(server)]
    };
    let rows: Vec<_> = servers.iter().map(row).collect();
    let mut text = table::table(&["NAME", "STATE", "TOOLS", "TOKENS", "WHAT IT IS"], &rows, output);
    let deferred = servers.iter().flat_map(|server| &server.tools).filter(|tool| tool.is_deferred);
    let (count, saved) = deferred.fold((0_u64, 0), |(count, saved), tool| (count + 1, saved + tool.tokens));
    if count > 0 {
        text.push_str(&format!(
            "{saved} tokens are saved with each request: {count} tools are looked for first\n"
        ));
    }
    for server in servers {
        match &server.state {
            McpServerState::Failed { message } => {
                text.push_str(&format!("{} {message}\n", output.out.red("error:")));
            }
            McpServerState::LoginRequired => {
                text.push_str(&format!("{} {}\n", output.out.cyan("hint:"), how_to_sign_in(&server.name)));
            }
            McpServerState::Disabled
            | McpServerState::Idle
            | McpServerState::Starting
            | McpServerState::Ready
            | McpServerState::Unknown(_) => {}
        }
    }
    output.write(&text).map_err(CliError::Output)
}

fn show_one(server: &McpServerStatus, output: Output) -> Result<(), CliError> {
    let mut rows = vec![("name", server.name.clone()), ("state", word(&server.state))];
    rows.push(("what it is", what(server)));
    if let McpServerState::Failed { message } = &server.state {
        rows.push(("error", message.clone()));
    }
    if server.state == McpServerState::LoginRequired {
        rows.push(("hint", how_to_sign_in(&server.name)));
    }
    rows.extend(server.software.clone().map(|software| ("software", software)));
    rows.extend(server.protocol.clone().map(|protocol| ("protocol", protocol)));
    rows.push(("tokens", server.tokens.to_string()));
    let mut text = table::pairs(&rows, output);
    if !server.tools.is_empty() {
        let tools: Vec<_> = server
            .tools
            .iter()
            .map(|tool| {
                let kind = if tool.is_read_only { "reads" } else { "writes" };
                let approval = tool.approval.as_str().to_owned();
                vec![
                    tool.name.clone(),
                    kind.to_owned(),
                    approval,
                    tool.tokens.to_string(),
                    tool.description.chars().take(DESCRIPTION).collect(),
                ]
            })
            .collect();
        text.push('\n');
        text.push_str(&table::table(&["TOOL", "IT", "APPROVAL", "TOKENS", "WHAT IT DOES"], &tools, output));
    }
    output.write(&text).map_err(CliError::Output)
}

/// What a server is, and whose, if the settings do not name it.
fn what(server: &McpServerStatus) -> String {
    match server.is_of_session {
        true => format!("{} (of a session)", server.target),
        false => server.target.clone(),
    }
}

fn how_to_sign_in(server: &str) -> String {
    format!("sign in with `skein mcp login {server}`, or give it a token (`bearer_token_env_var`)")
}

fn word(state: &McpServerState) -> String {
    match state {
        McpServerState::Disabled => "off",
        McpServerState::Idle => "idle",
        McpServerState::Starting => "starting",
        McpServerState::Ready => "ready",
        McpServerState::LoginRequired => "sign in",
        McpServerState::Failed { .. } => "failed",
        McpServerState::Unknown(_) => "?",
    }
    .to_owned()
}

/// Changes a table of `config.toml`, and gives the file. It is written beside and takes the old one's
/// place, so that nobody ever reads half of it.
pub(crate) fn change(
    name: &str,
    edit: impl FnOnce(&mut Table) -> Result<(), CliError>,
) -> Result<PathBuf, CliError> {
    let file = Folders::resolve().map_err(ClientError::from)?.config_file();
    let failed = |action: &'static str| {
        let path = file.clone();
        move |source| CliError::File { action, path, source }
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed("read")(error)),
    };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let message = format!("`{}` can't be read: {}", file.display(), error.message());
        CliError::usage(message, "`skein config check` shows where")
    })?;
    let mut empty = Table::new();
    empty.set_implicit(true);
    let table = document.entry(name).or_insert(Item::Table(empty));
    let table = table.as_table_mut().ok_or_else(|| {
        let message = format!("`{name}` in `{}` is no table of its own", file.display());
        CliError::usage(message, format!("Write it as `[{name}]` or `[{name}.NAME]`"))
    })?;
    edit(table)?;
    write(&file, &document.to_string()).map_err(failed("write"))?;
    Ok(file)
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    // What a link leads to is changed, and the link stays.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().ok_or_else(|| std::io::Error::other("it has no folder"))?;
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(meta) = std::fs::metadata(&file) {
        new.as_file().set_permissions(meta.permissions())?;
    }
    new.persist(&file)?;
    Ok(())
}

fn add(servers: &mut Table, args: AddArgs) -> Result<(), CliError> {
    let AddArgs { name, url, bearer_token_env_var, header, env, env_var, command } = args;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(is_plain) {
        let message = format!("`{name}` can't be the name of an MCP server");
        return Err(CliError::usage(message, "A name has letters, digits, `-` and `_`"));
    }
    if servers.contains_key(&name) {
        let message = format!("There is an MCP server `{name}` already");
        return Err(CliError::usage(message, format!("Take it out with `skein mcp remove {name}` first")));
    }
    let mut server = Table::new();
    if let Some(url) = url {
        server["url"] = value(url);
        if let Some(variable) = bearer_token_env_var {
            server["bearer_token_env_var"] = value(variable);
        }
        if !header.is_empty() {
            server["http_headers"] = value(named(&header)?);
        }
    } else if let Some((program, arguments)) = command.split_first() {
        server["command"] = value(program_of(program)?);
        if !arguments.is_empty() {
            server["args"] = value(arguments.iter().collect::<Array>());
        }
        if !env.is_empty() {
            server["env"] = value(named(&env)?);
        }
        if !env_var.is_empty() {
            server["env_vars"] = value(env_var.iter().collect::<Array>());
        }
    }
    servers.insert(&name, Item::Table(server));
    Ok(())
}

/// A program that is named by a path is found from every folder.
fn program_of(program: &str) -> Result<String, CliError> {
    if !program.contains('/') {
        return Ok(program.to_owned());
    }
    let path = std::path::absolute(program).map_err(|source| CliError::File {
        action: "find",
        path: program.into(),
        source,
    })?;
    Ok(path.to_string_lossy().into_owned())
}

fn named(pairs: &[String]) -> Result<InlineTable, CliError> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((name, given)) if !name.is_empty() => Ok((name.to_owned(), Value::from(given))),
        Some(_) | None => Err(CliError::usage(format!("`{pair}` has no name"), "Write it as `NAME=VALUE`")),
    };
    pairs.iter().map(pair).collect()
}
