//! MCP servers that the editor passes in, as settings of its session alone. They hold what may be secret, so the daemon
//! keeps them in memory only, and is told of them anew after a restart.

use std::collections::HashSet;

use protocol::session::SettingOverride;
use serde_json::Value;

use crate::schema::request::{McpServer, Pair};

/// Servers of one session.
const MAX_SERVERS: usize = 32;
/// Letters of a server's name in the settings.
const MAX_NAME: usize = 32;

/// What becomes of the servers of an editor.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Servers {
    /// The settings that are made of them.
    pub(crate) values: Vec<SettingOverride>,
    /// What the person should know of those that are not used.
    pub(crate) notices: Vec<String>,
}

impl Servers {
    /// Those of the editor. The names in `taken` are those of servers that the person has anyway.
    pub(crate) fn of(servers: &[McpServer], taken: impl IntoIterator<Item = String>) -> Self {
        let mut taken: HashSet<String> = taken.into_iter().collect();
        let mut made = Self::default();
        for server in servers.iter().take(MAX_SERVERS) {
            match table(server) {
                Ok(value) => {
                    let name = free_name(&server.name, &taken);
                    made.values.push(SettingOverride { key: format!("mcp_servers.{name}"), value });
                    taken.insert(name);
                }
                Err(why) => {
                    let name = view::escape::short_line(&server.name, 100);
                    made.notices.push(format!("The MCP server `{name}` of the editor is not used: {why}"));
                }
            }
        }
        let more = servers.len().saturating_sub(MAX_SERVERS);
        if more > 0 {
            made.notices.push(format!("{more} MCP servers of the editor are too many and not used"));
        }
        made
    }
}

/// A server as an inline table of TOML.
fn table(server: &McpServer) -> Result<String, &'static str> {
    match (server.kind.as_deref(), &server.command, &server.url) {
        (None | Some("stdio"), Some(command), _) => {
            if command.contains('/') && !command.starts_with('/') {
                return Err("its `command` is neither an absolute path nor a name");
            }
            let arguments: Vec<String> = server.args.iter().map(|argument| text(argument)).collect();
            Ok(format!(
                "{{ command = {}, args = [{}], env = {} }}",
                text(command),
                arguments.join(", "),
                pairs(&server.env)
            ))
        }
        (Some("http"), _, Some(url)) => {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err("its `url` is no address of HTTP");
            }
            Ok(format!("{{ url = {}, http_headers = {} }}", text(url), pairs(&server.headers)))
        }
        (Some("sse"), ..) => Err("the transport `sse` is out of use; `http` has taken its place"),
        (None | Some(_), ..) => Err("it is reached in a way that is not known here"),
    }
}

/// Of two values with one name the later one holds.
fn pairs(pairs: &[Pair]) -> String {
    let mut named: Vec<&Pair> = Vec::new();
    for pair in pairs {
        named.retain(|known| known.name != pair.name);
        named.push(pair);
    }
    let fields: Vec<String> =
        named.iter().map(|pair| format!("{} = {}", text(&pair.name), text(&pair.value))).collect();
    format!("{{ {} }}", fields.join(", "))
}

/// A basic string of TOML: one of JSON, but that DEL must be escaped too.
fn text(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A name that settings may have and no other server has.
fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let mut plain: String = name.chars().map(plain).take(MAX_NAME).collect();
    if plain.trim_matches('_').is_empty() {
        "editor".clone_into(&mut plain);
    }
    let numbered = (2_u32..).map(|number| {
        let end = format!("-{number}");
        format!("{}{end}", &plain[..plain.len().min(MAX_NAME - end.len())])
    });
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(servers: Value, taken: &[&str]) -> Servers {
        let servers: Vec<McpServer> = serde_json::from_value(servers).unwrap();
        Servers::of(&servers, taken.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn servers_become_settings_and_nothing_in_them_is_taken_for_toml() {
        let program = json!({
            "name": "My tools", "command": "/bin/x", "args": ["a \"b\"", "]"],
            "env": [{"name": "A.B", "value": "1"}, {"name": "A.B", "value": "\n\u{7f}"}],
        });
        let service = json!({
            "type": "http", "name": "far", "url": "https://example.org/mcp",
            "headers": [{"name": "X-Key", "value": "k"}],
        });
        let Servers { values, notices } = made(json!([program, service]), &["far"]);
        let lines: Vec<String> =
            values.iter().map(|value| format!("{} = {}", value.key, value.value)).collect();
        assert_eq!(
            lines,
            [
                r#"mcp_servers.My_tools = { command = "/bin/x", args = ["a \"b\"", "]"], env = { "A.B" = "\n\u007f" } }"#,
                r#"mcp_servers.far-2 = { url = "https://example.org/mcp", http_headers = { "X-Key" = "k" } }"#,
            ]
        );
        assert_eq!(notices, Vec::<String>::new());
    }

    #[test]
    fn a_server_that_can_not_be_used_is_named_and_the_others_are_used() {
        let servers = json!([
            {"type": "sse", "name": "old", "url": "https://example.org"},
            {"type": "acp", "name": "odd", "id": "1"},
            {"type": "http", "name": "file", "url": "file:///etc/passwd", "headers": []},
            {"name": "relative", "command": "./x", "args": [], "env": []},
            {"name": "good", "command": "npx"},
        ]);
        let Servers { values, notices } = made(servers, &[]);
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].key, "mcp_servers.good");
        for (notice, name) in notices.iter().zip(["old", "odd", "file", "relative"]) {
            assert!(notice.contains(name), "{notice}");
        }
        assert_eq!(notices.len(), 4);
    }

    #[test]
    fn names_are_short_plain_and_each_another() {
        let long = "x".repeat(50);
        let server = |name: &str| json!({"name": name, "command": "/bin/x"});
        let made = made(json!([server(&long), server(&long), server("é"), server("é")]), &[]);
        let names: Vec<&str> =
            made.values.iter().map(|value| value.key.strip_prefix("mcp_servers.").unwrap()).collect();
        assert_eq!(names, [&long[..32], &format!("{}-2", &long[..30]), "editor", "editor-2"]);
    }
}
