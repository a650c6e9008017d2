//! What a command may touch: the choice a person makes (`SandboxMode`) and the resolved `Profile` that is
//! enforced. Knows nothing of how it is enforced.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The built-in profiles a person can choose by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Everything may be read, nothing written, no network.
    ReadOnly,
    /// The session's folder, added folders and the temporary folder may be written; no network unless allowed.
    #[default]
    WorkspaceWrite,
    /// No sandbox at all. Shown in red wherever it is on.
    DangerFullAccess,
}

impl SandboxMode {
    /// The name as it stands in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

/// How a path may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Neither its content nor its existence below the path can be seen.
    Hidden,
    /// May be read and executed.
    Read,
    /// May be read, written, created and removed.
    Write,
}

/// One entry of a profile: this path and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathRule {
    /// Absolute; need not exist.
    pub path: PathBuf,
    /// What is allowed there.
    pub access: Access,
}

/// One entry of a profile: every path that a pattern matches, and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GlobRule {
    /// Absolute: `*` and `?` stay within a name, `**` crosses folders, `[…]` and `{…,…}` choose. In `Permissions` also
    /// relative, and then it is meant below each of the session's folders.
    pub pattern: String,
    /// What is allowed there; less than where it would stand otherwise.
    pub access: Access,
    /// Names of folders in which it does not hold, wherever they are below the pattern's plain beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

impl GlobRule {
    /// A relative pattern below a folder, whose own name is taken as it is.
    #[must_use]
    pub fn pattern_below(folder: &Path, pattern: &str) -> String {
        let mut whole = String::new();
        for letter in folder.to_string_lossy().chars() {
            if "*?[]{}\\!,".contains(letter) {
                whole.push('\\');
            }
            whole.push(letter);
        }
        for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if !whole.ends_with('/') {
                whole.push('/');
            }
            whole.push_str(part);
        }
        whole
    }

    /// Whether it says itself where it holds.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        Path::new(&self.pattern).is_absolute()
    }

    /// Whether the pattern matches an absolute, already normalised path or an ancestor of it.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let matches = |path: &Path| fast_glob::glob_match(&self.pattern, path.as_os_str().as_encoded_bytes());
        path.ancestors().any(|above| matches(above) && !self.is_excepted(above))
    }

    /// Whether a path that the pattern matches lies in a folder that is left out.
    fn is_excepted(&self, path: &Path) -> bool {
        let is_plain = |part: &&str| {
            let mut letters = part.chars();
            // A backslash takes the meaning of what follows.
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => drop(letters.next()),
                    '*' | '?' | '[' | '{' => return false,
                    _ => {}
                }
            }
            true
        };
        let plain = self.pattern.split('/').filter(|part| !part.is_empty()).take_while(is_plain).count();
        // The root is a component of its own.
        let below = path.components().skip(plain + 1);
        !self.except.is_empty()
            && below.into_iter().any(|part| self.except.iter().any(|name| part.as_os_str() == name.as_str()))
    }
}

/// A way to reach a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NetworkProtocol {
    /// Plain HTTP through the proxy.
    Http,
    /// A tunnel by HTTP CONNECT, as for HTTPS.
    Https,
    /// TCP through SOCKS5.
    Socks5Tcp,
}

/// What a rule says of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NetworkDecision {
    /// It may be reached.
    Allow,
    /// A person is asked.
    Prompt,
    /// It may not.
    Deny,
}

/// One rule of the network. Of those that match the strictest wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkRule {
    /// A name or an address, lower case; `*.` at the beginning stands for any name below, `*` alone for any host.
    pub host: String,
    /// Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<NetworkProtocol>,
    /// What it says.
    pub decision: NetworkDecision,
}

impl NetworkRule {
    /// What is decided of a host as people write it: `example.com`, `*.example.com`, `example.com:443`, `[::1]:80` or
    /// `*`, for any protocol. `None` if it is neither a name nor an address, or the port is none.
    #[must_use]
    pub fn for_host(written: &str, decision: NetworkDecision) -> Option<Self> {
        let (host, port) = host_and_port(written)?;
        Some(Self { host, port, protocol: None, decision })
    }
}

/// What commands may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLimits {
    /// Processes and threads of one command at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_processes: Option<u64>,
    /// Memory of one command's whole tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// The longest file that it may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_bytes: Option<u64>,
}

/// A profile that a person wrote in the settings, resolved to absolute paths; it changes what the session's
/// `SandboxMode` gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Its name in the settings.
    pub name: String,
    /// Exceptions by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathRule>,
    /// Exceptions by pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<GlobRule>,
    /// Rules of the network, where it is open by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_rules: Vec<NetworkRule>,
    /// Local sockets that may be connected to, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unix_sockets: Vec<PathBuf>,
    /// What commands may use up.
    #[serde(default)]
    pub limits: ResourceLimits,
    /// Whether commands may commit in the repository; hooks and configuration stay closed.
    #[serde(default)]
    pub is_commit_allowed: bool,
    /// Whether commands have a `/tmp` of their own, gone when they end.
    #[serde(default)]
    pub has_own_tmp: bool,
    /// Whether files that something runs later, as `Makefile` or all in `.husky`, may be neither changed nor made.
    #[serde(default)]
    pub is_strict: bool,
    /// What of the environment commands see; absent: what the settings say when a turn begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentPolicy>,
}

/// What of a client's environment commands see. Keys of providers and Skein's own variables are left out whatever stands
/// here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentPolicy {
    /// What there is to choose from.
    #[serde(default)]
    pub inherit: Inherited,
    /// If not empty, only variables whose names match one of these patterns stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include_only: Vec<String>,
    /// Variables whose names match one of these patterns go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// What of an environment is inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Inherited {
    /// Nothing.
    None,
    /// What every program needs: `PATH`, `HOME`, `SHELL` and their like.
    Core,
    /// Everything.
    #[default]
    All,
}

/// What of the network is open to commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NetworkAccess {
    /// Loopback inside the sandbox only.
    #[default]
    Off,
    /// What the profile's rules allow, through a proxy.
    Rules,
    /// Everything.
    Full,
}

/// What commands may touch, resolved to absolute paths. The longest matching rule wins; carve-outs nest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The choice it was resolved from. `DangerFullAccess` means: no enforcement.
    pub mode: SandboxMode,
    /// Access of a path that no rule names.
    pub default_access: Access,
    /// Exceptions, in any order.
    pub paths: Vec<PathRule>,
    /// Exceptions by pattern; each only takes away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<GlobRule>,
    /// What of the network is open.
    pub network: NetworkAccess,
    /// Rules of the network, where it is open by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_rules: Vec<NetworkRule>,
    /// Local sockets that may be connected to, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unix_sockets: Vec<PathBuf>,
    /// What commands may use up.
    #[serde(default)]
    pub limits: ResourceLimits,
    /// Whether commands have a `/tmp` of their own, gone when they end.
    #[serde(default)]
    pub has_own_tmp: bool,
    /// Whether it is told that a command wanted to read what is hidden. Then each file that it opens costs a little more.
    #[serde(default)]
    pub is_reading_told: bool,
    /// Whether a command that makes what a pattern names is refused. Patterns wall in what is there when it starts; this
    /// is looked at call by call, and a program that is out to get around it can.
    #[serde(default)]
    pub is_making_refused: bool,
}

impl Profile {
    /// A profile of paths and network alone.
    #[must_use]
    pub fn new(
        mode: SandboxMode,
        default_access: Access,
        paths: Vec<PathRule>,
        network: NetworkAccess,
    ) -> Self {
        Self {
            mode,
            default_access,
            paths,
            globs: Vec::new(),
            network,
            network_rules: Vec::new(),
            unix_sockets: Vec::new(),
            limits: ResourceLimits::default(),
            has_own_tmp: false,
            is_reading_told: false,
            is_making_refused: false,
        }
    }

    /// The access of an absolute, already normalised path: that of the longest rule which is the path or an
    /// ancestor of it, lessened by every pattern that matches the path or an ancestor of it.
    #[must_use]
    pub fn access(&self, path: &Path) -> Access {
        if self.mode == SandboxMode::DangerFullAccess {
            return Access::Write;
        }
        let by_path = self
            .paths
            .iter()
            .filter(|rule| path.starts_with(&rule.path))
            .max_by_key(|rule| rule.path.components().count())
            .map_or(self.default_access, |rule| rule.access);
        let matching = self.globs.iter().filter(|rule| rule.matches(path));
        matching.map(|rule| rule.access).min().map_or(by_path, |by_glob| by_glob.min(by_path))
    }
}

/// When the agent asks a person before it acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// Asks before every command that is not known to be harmless, and before every change of a file.
    Untrusted,
    /// Runs in the sandbox without asking; asks when the model wants to leave it.
    #[default]
    OnRequest,
    /// Never asks; what would need an answer is refused.
    Never,
}

impl ApprovalPolicy {
    /// The name as it stands in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::OnRequest => "on-request",
            Self::Never => "never",
        }
    }
}

/// How strictly commands are confined on this machine, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SandboxRung {
    /// Own namespaces with Landlock and seccomp on top.
    Namespaces,
    /// The namespaces of the system's `bwrap`, with Landlock and seccomp on top: where only it may make them.
    Bubblewrap,
    /// Landlock and seccomp alone. Weaker: in a writable folder that holds something protected nothing new can be
    /// made directly, what is hidden can't be read but is seen to exist, and processes are visible.
    Landlock,
    /// Nothing that was tried held; commands are refused unless the mode is `danger-full-access`.
    Refused,
}

/// What probing found of one rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RungReport {
    /// Which one.
    pub rung: SandboxRung,
    /// Whether a probe child tried what is forbidden, and failed.
    pub is_available: bool,
    /// Why not, or what was shown, for a person.
    pub reason: String,
    /// What to do about it, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What probing this machine found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxReport {
    /// The rung that commands run on.
    pub chosen: SandboxRung,
    /// Each rung that was tried.
    pub rungs: Vec<RungReport>,
}

/// The host, lower case and without brackets, and the port.
fn host_and_port(written: &str) -> Option<(String, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
    if let Ok(address) = written.parse::<IpAddr>() {
        return Some((address.to_string(), None));
    }
    if let Some(rest) = written.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address = address.parse::<Ipv6Addr>().ok()?.to_string();
        return match rest {
            "" => Some((address, None)),
            rest => Some((address, Some(port(rest.strip_prefix(':')?)?))),
        };
    }
    let (host, port) = match written.split_once(':') {
        Some((host, text)) => (host, Some(port(text)?)),
        None => (written, None),
    };
    if let Ok(address) = host.strip_suffix('.').unwrap_or(host).parse::<IpAddr>() {
        return Some((address.to_string(), port));
    }
    let host = host.strip_suffix('.').filter(|host| *host != "*").unwrap_or(host).to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    // What ends in a number is an address in an unusual form, which no command can name (`127.1`, `0x7f.1`); what begins
    // with `-` is a flag that went astray.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = host.len() <= 253 && !host.starts_with('-') && !is_number && name.split('.').all(is_label);
    (host == "*" || is_name).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("Example.com", "example.com", None),
            ("example.com:443", "example.com", Some(443)),
            ("*.example.com", "*.example.com", None),
            ("*", "*", None),
            ("example.com.", "example.com", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("127.0.0.1.:80", "127.0.0.1", Some(80)),
            ("a-.net", "a-.net", None),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some(80)),
        ] {
            let rule = NetworkRule::for_host(text, NetworkDecision::Deny).expect(text);
            assert_eq!((rule.host.as_str(), rule.port), (host, port), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:70000",
            "a b",
            "https://a.net",
            "*a.net",
            "a/b",
            "[a]:1",
            "*.",
            "*..",
            ".a",
            "a..b",
            "*.*",
            "[::1]80",
            "::1:99999",
            "127.1",
            "127.1:80",
            "2130706433",
            "0x7f.1",
            "1.2.3.4.5",
            "-h",
        ] {
            assert_eq!(NetworkRule::for_host(text, NetworkDecision::Allow), None, "{text}");
        }
    }
}
