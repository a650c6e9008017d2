//! A command that a person runs in the sandbox by hand: what it may touch, and its way into the network. Asks nobody;
//! says nothing to anybody.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, ready};
use policy::network::{Ruling, display, lists, ruling};
use protocol::error::{ConfigurationProblem, ErrorCode, ProtocolError};
use protocol::item::{CommandExit, Refusal, RefusedOperation};
use protocol::profile::{
    Access, NetworkAccess, NetworkDecision, NetworkProtocol, NetworkRule, PathRule, Profile, SandboxMode,
    SandboxReport, SandboxRung,
};
use protocol::session::SessionSettings;
use sandbox::proxy::{Attempt, Gate, ProxyServer, Target, Verdict};
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Proxy, SandboxError, Stdin};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use wire::folders::Folders;

use crate::environment;
use crate::local::{LocalError, Place, resolve};

/// So many connections are remembered; further ones are decided about all the same.
const MAX_CONNECTIONS: usize = 1024;

/// A command to run by hand.
#[derive(Clone, Debug)]
pub struct SandboxRun {
    /// This executable, absolute: it is the sandbox helper and reads rules too.
    pub helper: PathBuf,
    /// Where.
    pub place: Place,
    /// How it is confined.
    pub backend: Backend,
    /// What differs from what the settings give.
    pub changes: Changes,
    /// Program and arguments.
    pub argv: Vec<OsString>,
}

/// How a command is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// As the settings say, else by the strongest rung that holds.
    Configured,
    /// By the strongest rung that holds, whatever the settings say.
    Strongest,
    /// By this rung or not at all.
    Only(SandboxRung),
}

impl Backend {
    /// The rung that is forced where the settings say this.
    fn forced(self, configured: Option<SandboxRung>) -> Option<SandboxRung> {
        match self {
            Self::Configured => configured,
            Self::Strongest => None,
            Self::Only(rung) => Some(rung),
        }
    }
}

/// What one command may touch besides, or may not, whatever the settings say.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// By path, absolute and without links.
    pub paths: Vec<PathRule>,
    /// What of the network is open.
    pub network: Option<NetworkAccess>,
    /// Rules of the network, where it is open by rule.
    pub network_rules: Vec<NetworkRule>,
}

/// A command that is ready to run.
#[derive(Debug)]
pub struct Sandboxed {
    launcher: Launcher,
    request: CommandRequest,
    runtime: Runtime,
    permissions: Option<String>,
    warnings: Vec<ConfigurationProblem>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit.
    pub exit: CommandExit,
    /// What was refused to it, hosts among it.
    pub refusals: Vec<Refusal>,
    /// Its connections, or the first of many.
    pub connections: Vec<Attempt>,
}

impl Sandboxed {
    /// Resolves what the command may touch, as a session would. Starts nothing but what reads rules.
    ///
    /// # Errors
    /// `Settings` also for a change that can't hold.
    pub fn new(run: SandboxRun) -> Result<Self, LocalError> {
        let SandboxRun { helper, place, backend, changes, argv } = run;
        let resolved = resolve(&Folders::resolve()?, &place, &changes, &helper)?;
        check(&resolved.profile, &changes)?;
        if !argv.is_empty() {
            check_rules(&resolved.broken_rules)?;
        }
        let proxy = match resolved.profile.network {
            NetworkAccess::Rules => Proxy::Listen,
            NetworkAccess::Off | NetworkAccess::Full => Proxy::None,
        };
        let permissions = resolved.session.permissions.as_ref().map(|permissions| permissions.name.clone());
        let request = CommandRequest {
            argv,
            cwd: resolved.session.cwd.clone(),
            environment: environment::for_commands(&place.environment, &resolved.loaded).to_vec(),
            profile: resolved.profile,
            stdin: Stdin::Inherit,
            output: Output::Inherit,
            proxy,
            interception: Interception::Off,
        };
        Ok(Self {
            launcher: Launcher::new(helper, backend.forced(resolved.loaded.sandbox_backend)),
            request,
            permissions: permissions.filter(|name| !name.is_empty()),
            warnings: resolved.warnings.into_iter().chain(resolved.broken_rules).collect(),
            runtime: Builder::new_current_thread().enable_all().build().map_err(LocalError::Runtime)?,
        })
    }

    /// What it may touch.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.request.profile
    }

    /// The permissions of the settings that it has, by their name.
    #[must_use]
    pub fn permissions(&self) -> Option<&str> {
        self.permissions.as_deref()
    }

    /// Why a command would be refused here, whatever it is. Confines the helper alone as a command would be, and has it do
    /// nothing. Blocks.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let request = CommandRequest {
            argv: vec!["/proc/self/exe".into(), "--version".into()],
            stdin: Stdin::Null,
            output: Output::Piped,
            ..self.request.clone()
        };
        match self.runtime.block_on(self.launcher.spawn(request)) {
            Ok(_) | Err(SandboxError::NotFound { .. } | SandboxError::NotExecutable { .. }) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// What of the settings is not used, so that it may not be confined as their author meant.
    #[must_use]
    pub fn warnings(&self) -> &[ConfigurationProblem] {
        &self.warnings
    }

    /// What this machine can enforce, and what of that is used. Blocks.
    #[must_use]
    pub fn report(&self) -> SandboxReport {
        self.runtime.block_on(self.launcher.report())
    }

    /// Runs it to its end with this process's own standard streams. Blocks.
    ///
    /// # Errors
    /// `Sandbox` when it can't be confined or started.
    pub fn run(self) -> Result<Ended, LocalError> {
        let Self { launcher, request, runtime, .. } = self;
        Ok(runtime.block_on(to_its_end(&launcher, request))?)
    }
}

/// The session's settings with the changes in them.
pub(crate) fn change(session: &mut SessionSettings, changes: &Changes) {
    let Changes { paths, network, network_rules } = changes;
    if paths.is_empty() && network.is_none() {
        return;
    }
    if session.permissions.is_none() && session.sandbox == SandboxMode::ReadOnly {
        // The settings open the network for commands that may write.
        session.network = NetworkAccess::Off;
    }
    session.network = network.unwrap_or(session.network);
    let permissions = session.permissions.get_or_insert_default();
    permissions.paths.extend(paths.iter().cloned());
    permissions.network_rules.extend(network_rules.iter().cloned());
}

/// A change that something stricter undoes, or that nothing enforces, is refused.
fn check(profile: &Profile, changes: &Changes) -> Result<(), ProtocolError> {
    let refused = |message: String| Err(ProtocolError::new(ErrorCode::InvalidRequest, message));
    let is_changed = !changes.paths.is_empty() || changes.network.is_some_and(|it| it != NetworkAccess::Full);
    if profile.mode == SandboxMode::DangerFullAccess && is_changed {
        return refused(format!("`{}` confines nothing, not even a path or a host", profile.mode.as_str()));
    }
    for PathRule { path, access } in &changes.paths {
        let found = profile.access(path);
        if found != *access {
            let (path, wanted, found) = (path.display(), word(*access), word(found));
            return refused(format!("`{path}` can't be {wanted}: another rule makes it {found}"));
        }
    }
    Ok(())
}

/// What can't be read might forbid any host, and nobody is asked here.
fn check_rules(broken: &[ConfigurationProblem]) -> Result<(), ProtocolError> {
    let Some(first) = broken.first() else { return Ok(()) };
    let place = [first.line, first.column].into_iter().flatten().map(|number| format!(":{number}"));
    let place: String = std::iter::once(first.origin.clone()).chain(place).collect();
    let message = format!("The network is open by rule, and rules can't be read: {place}: {}", first.message);
    let hint = "Mend the file or move it away; or choose `--network off` or `--network full`";
    Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint))
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Hidden => "hidden",
        Access::Read => "read-only",
        Access::Write => "writable",
    }
}

async fn to_its_end(launcher: &Launcher, request: CommandRequest) -> Result<Ended, SandboxError> {
    let gate = Arc::new(ListedGate { rules: request.profile.network_rules.clone(), made: Mutex::default() });
    let mut process = launcher.spawn(request).await?;
    let listener = process.take_proxy_listener().map(tokio::net::TcpListener::from_std).transpose()?;
    let exit = match listener {
        None => process.wait().await?,
        Some(listener) => {
            let server = ProxyServer::new(gate.clone());
            let cancel = CancellationToken::new();
            tokio::select! {
                exit = process.wait() => exit?,
                () = server.serve(listener, cancel) => {
                    // It is never cancelled.
                    return Err(SandboxError::Helper { reason: "the proxy ended".to_owned() });
                }
            }
        }
    };
    let connections = std::mem::take(&mut *gate.made.lock().unwrap_or_else(PoisonError::into_inner));
    let mut refusals = process.refusals();
    for attempt in connections.iter().filter(|attempt| !attempt.is_allowed) {
        let refusal = Refusal { operation: RefusedOperation::Connect, target: attempt.target.to_string() };
        if !refusals.contains(&refusal) {
            refusals.push(refusal);
        }
    }
    let exit = match exit {
        Exit::Code(code) => CommandExit::Code { code },
        Exit::Signal(signal) => CommandExit::Signal { signal },
    };
    Ok(Ended { exit, refusals, connections })
}

/// Decides by the rules alone.
struct ListedGate {
    rules: Vec<NetworkRule>,
    made: Mutex<Vec<Attempt>>,
}

impl Gate for ListedGate {
    fn decide(&self, target: Target) -> BoxFuture<'_, Verdict> {
        Box::pin(ready(decide(&self.rules, &target)))
    }

    fn lists(&self, protocol: NetworkProtocol, address: IpAddr, port: u16) -> bool {
        lists(&self.rules, protocol, address, port)
    }

    fn attempted(&self, attempt: Attempt) -> BoxFuture<'_, ()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() < MAX_CONNECTIONS {
            made.push(attempt);
        }
        Box::pin(ready(()))
    }
}

fn decide(rules: &[NetworkRule], target: &Target) -> Verdict {
    let denied = |reason: String| Verdict::Deny { reason };
    let Some(Ruling { rule, is_listed }) = ruling(rules, target.protocol, &target.host, target.port) else {
        return denied(format!("no rule names it; to open it: `--allow-host {target}`"));
    };
    let reason = format!("the rule `{}`", display(rule));
    match rule.decision {
        NetworkDecision::Allow if is_listed => Verdict::Anywhere { reason },
        NetworkDecision::Allow => Verdict::Public { reason },
        // `--allow-host` would not open these: the strictest rule holds.
        NetworkDecision::Prompt => denied(format!("{reason} asks for it, and nobody is asked here")),
        NetworkDecision::Deny => denied(format!("{reason} refuses it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str, decision: NetworkDecision) -> NetworkRule {
        NetworkRule { host: host.to_owned(), port: None, protocol: None, decision }
    }

    #[test]
    fn only_what_is_listed_is_open_and_a_refusal_says_how_to_open_it() {
        use NetworkDecision::{Allow, Deny, Prompt};
        let rules = [
            rule("*.open.net", Allow),
            rule("127.0.0.1", Allow),
            rule("ask.net", Prompt),
            rule("shut.net", Deny),
        ];
        let verdict = |host: &str| {
            let target = Target { protocol: NetworkProtocol::Https, host: host.to_owned(), port: 443 };
            decide(&rules, &target)
        };
        assert!(matches!(verdict("a.open.net"), Verdict::Public { .. }));
        assert!(matches!(verdict("127.0.0.1"), Verdict::Anywhere { .. }));
        for (host, expected) in
            [("b.net", "--allow-host b.net:443"), ("ask.net", "asks for it"), ("shut.net", "deny shut.net")]
        {
            let Verdict::Deny { reason } = verdict(host) else { panic!("{host} is not open") };
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(reason.contains("--allow-host"), host == "b.net", "only where that helps: {reason}");
        }
    }

    #[test]
    fn a_command_is_refused_where_rules_on_hosts_can_not_be_read() {
        check_rules(&[]).expect("all can be read");
        let problem = ConfigurationProblem {
            line: Some(3),
            column: Some(7),
            ..crate::trust::problem("/c/a.rules".to_owned(), "it is cut".to_owned())
        };
        let error = check_rules(&[problem]).expect_err("it might forbid the host");
        assert!(error.message.contains("/c/a.rules:3:7: it is cut"), "{}", error.message);
        assert!(error.hint.is_some());
    }

    #[test]
    fn the_strongest_rung_can_be_asked_for_where_the_settings_name_another() {
        let configured = Some(SandboxRung::Landlock);
        assert_eq!(Backend::Configured.forced(configured), configured);
        assert_eq!(Backend::Strongest.forced(configured), None);
        assert_eq!(Backend::Only(SandboxRung::Bubblewrap).forced(configured), Some(SandboxRung::Bubblewrap));
    }

    #[test]
    fn a_change_that_does_not_hold_is_refused() {
        let own = PathRule { path: "/home/me/.skein".into(), access: Access::Hidden };
        let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![own], NetworkAccess::Off);
        let wants = |path: &str, access| Changes {
            paths: vec![PathRule { path: path.into(), access }],
            ..Changes::default()
        };
        let error = check(&profile, &wants("/home/me/.skein/db", Access::Read)).expect_err("it is hidden");
        assert!(error.message.contains("makes it hidden"), "{}", error.message);
        check(&profile, &wants("/usr", Access::Read)).expect("it can be read");
        let danger = policy::profile::unrestricted();
        check(&danger, &wants("/usr", Access::Hidden)).expect_err("nothing enforces it");
        check(&danger, &Changes::default()).expect("nothing is changed");
    }
}
