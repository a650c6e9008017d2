//! MCP servers that a folder declares in `.mcp.json`, the file that other agents read too. Nothing here believes it.

use std::collections::BTreeMap;
use std::path::Path;

use config::{McpServer, McpSignIn, McpTransport};
use serde::Deserialize;
use serde_json::Value;

/// Servers of one file.
const MAX_SERVERS: usize = 64;

/// An MCP server of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredServer {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub server: McpServer,
    /// What it is, for a person: the whole of its entry, which is also what its hash is made of.
    pub text: String,
}

/// An entry of the file.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The servers of a file of the folder with this real path, and what is wrong in it.
pub(crate) fn read(root: &Path, text: &str) -> (Vec<DeclaredServer>, Vec<String>) {
    let file: Value = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let (mut servers, mut problems) = (Vec::new(), Vec::new());
    for (name, entry) in file["mcpServers"].as_object().into_iter().flatten().take(MAX_SERVERS) {
        match of_entry(root, name, entry) {
            Ok(server) => servers.push(server),
            Err(problem) => problems.push(format!("The server `{name}` can't be used: {problem}")),
        }
    }
    if file["mcpServers"].as_object().is_some_and(|servers| servers.len() > MAX_SERVERS) {
        problems.push(format!("It has more than {MAX_SERVERS} servers"));
    }
    (servers, problems)
}

fn of_entry(root: &Path, name: &str, entry: &Value) -> Result<DeclaredServer, String> {
    if !McpServer::is_name(name) {
        let most = McpServer::MAX_NAME;
        return Err(format!("its name must have letters, digits, `-` and `_`, at most {most}"));
    }
    let text = entry.to_string();
    let Entry { kind, command, args, env, url, headers } =
        serde_json::from_value(entry.clone()).map_err(|error| error.to_string())?;
    let transport = match (command, url) {
        (Some(command), None) => {
            let (mut given, mut lent) = (BTreeMap::new(), Vec::new());
            for (name, value) in env {
                match variable(&value) {
                    Some(variable) if variable == name => lent.push(name),
                    Some(_) => return Err(format!("`{name}` is to have another variable's value")),
                    None if value.contains("${") => {
                        return Err(format!("`{name}` has a variable in its value"));
                    }
                    None => drop(given.insert(name, value)),
                }
            }
            McpTransport::Stdio {
                command: program(root, command),
                arguments: args,
                env: given,
                env_vars: lent,
                cwd: Some(root.to_owned()),
                sandbox: None,
            }
        }
        (None, Some(_)) if kind.as_deref() == Some("sse") => {
            return Err("the transport `sse` is no longer one of the protocol".to_owned());
        }
        (None, Some(url)) if url.starts_with("https://") || url.starts_with("http://") => {
            let (mut given, mut lent, mut token) = (BTreeMap::new(), BTreeMap::new(), None);
            for (name, value) in headers {
                let bearer = value.strip_prefix("Bearer ").and_then(variable);
                match (variable(&value), bearer) {
                    (Some(variable), _) => drop(lent.insert(name, variable.to_owned())),
                    (None, Some(variable)) if name.eq_ignore_ascii_case("authorization") => {
                        token = Some(variable.to_owned());
                    }
                    (None, _) if value.contains("${") => {
                        return Err(format!("the header `{name}` has a variable in its value"));
                    }
                    (None, _) => drop(given.insert(name, value)),
                }
            }
            McpTransport::Http {
                url,
                bearer_token_env_var: token,
                http_headers: given,
                env_http_headers: lent,
                sign_in: McpSignIn::default(),
            }
        }
        _ => return Err("it needs either `command` or an `url` of HTTP".to_owned()),
    };
    Ok(DeclaredServer { name: name.to_owned(), server: McpServer::new(transport), text })
}

/// The variable, if the value is one and nothing else.
fn variable(value: &str) -> Option<&str> {
    let name = value.strip_prefix("${")?.strip_suffix('}')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// A program that is named by a path is one of the folder.
fn program(root: &Path, command: String) -> String {
    if !command.contains('/') {
        return command;
    }
    let below = command.strip_prefix("./").unwrap_or(&command);
    root.join(below).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_understood() {
        let text = r#"{"mcpServers": {
            "docs": {"command": "./run.sh", "args": ["x"], "env": {"A": "b", "TOKEN": "${TOKEN}"}},
            "far": {"type": "http", "url": "https://e.org/mcp", "headers": {"Authorization": "Bearer ${KEY}"}}
        }}"#;
        let (servers, problems) = read(Path::new("/repo"), text);
        assert_eq!((servers.len(), problems.len()), (2, 0), "{problems:?}");
        let McpTransport::Stdio { command, env, env_vars, .. } = &servers[0].server.transport else {
            panic!("no program");
        };
        assert_eq!(
            (command.as_str(), env["A"].as_str(), env_vars[0].as_str()),
            ("/repo/run.sh", "b", "TOKEN")
        );
        let McpTransport::Http { bearer_token_env_var, .. } = &servers[1].server.transport else {
            panic!("no address");
        };
        assert_eq!(bearer_token_env_var.as_deref(), Some("KEY"));
    }

    #[test]
    fn what_can_t_be_used_is_said() {
        for (entry, wanted) in [
            (r#""a b": {"command": "x"}"#, "letters"),
            (r#""a": {}"#, "either"),
            (r#""a": {"type": "sse", "url": "https://x"}"#, "sse"),
            (r#""a": {"url": "ftp://x"}"#, "either"),
            (r#""a": {"command": "x", "env": {"A": "${SECRET}"}}"#, "another variable"),
            (r#""a": {"command": "x", "env": {"A": "x${SECRET}"}}"#, "has a variable"),
        ] {
            let (servers, problems) = read(Path::new("/repo"), &format!("{{\"mcpServers\": {{{entry}}}}}"));
            assert!(servers.is_empty() && problems[0].contains(wanted), "{entry}: {problems:?}");
        }
        assert_eq!(read(Path::new("/repo"), "{").1.len(), 1);
    }
}
