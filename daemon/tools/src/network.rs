//! The way of a tool's command into the network: serves the proxy that it finds, decides by the profile's rules, and
//! asks a person where they say so or say nothing. Knows nothing of what the command is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use policy::network::{Ruling, display, lists, ruling};
use protocol::item::{Refusal, RefusedOperation};
use protocol::profile::{NetworkAccess, NetworkDecision, NetworkProtocol, Profile, SandboxMode};
use protocol::question::{Decision, QuestionKind};
use sandbox::Process;
use sandbox::proxy::{Attempt, Gate, Local, ProxyServer, Target, Verdict};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::tool::{Asker, Report, RunContext};

/// So many refused hosts are told of one command.
const MAX_REFUSALS: usize = 64;

/// So many answers are remembered for one command; after that people are asked anew.
const MAX_ANSWERS: usize = 1024;

/// What to do about a host that nobody opened.
const HOW_TO_OPEN: &str =
    "to open it, add the host to `[permissions.<name>.hosts]` in `config.toml`, as `\"allow\"`";

/// Whether a command with this profile gets a proxy.
pub(crate) fn proxy(profile: &Profile) -> sandbox::Proxy {
    match profile.network {
        NetworkAccess::Rules if profile.mode != SandboxMode::DangerFullAccess => sandbox::Proxy::Listen,
        NetworkAccess::Rules | NetworkAccess::Off | NetworkAccess::Full => sandbox::Proxy::None,
    }
}

/// The proxy of a command. It ends when this is dropped: a command in the background outlives the call that could
/// cancel it.
pub(crate) struct Served {
    _task: AbortOnDropHandle<()>,
    refused: Refused,
}

impl Served {
    /// The hosts that were refused so far, each once; the first of many.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves the proxy of a command until what is returned is dropped; nothing if it has none.
pub(crate) fn serve(process: &mut Process, context: &RunContext) -> Option<Served> {
    let listener = process.take_proxy_listener()?;
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "the proxy of a command can't be served; it has no network");
            return None;
        }
    };
    let gate =
        RuleGate::new(Arc::clone(&context.profile), Arc::clone(&context.asker), context.reports.clone());
    let refused = Arc::clone(&gate.refused);
    let server = ProxyServer::new(Arc::new(gate));
    let task = tokio::spawn(async move { server.serve(listener, CancellationToken::new()).await });
    Some(Served { _task: AbortOnDropHandle::new(task), refused })
}

/// What was refused to a command.
type Refused = Arc<Mutex<Vec<Refusal>>>;

/// Decides about the connections of one command.
struct RuleGate {
    profile: Arc<Profile>,
    asker: Arc<dyn Asker>,
    reports: mpsc::Sender<Report>,
    answers: Answers,
    refused: Refused,
}

/// What people said of hosts for this command, and what they are being asked.
type Answers = Arc<Mutex<BTreeMap<Target, Answering>>>;

enum Answering {
    Asked(WeakShared<BoxFuture<'static, Answered>>),
    Answered(Answered),
}

/// What a person said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answered {
    Yes,
    No { message: Option<String> },
}

impl RuleGate {
    fn new(profile: Arc<Profile>, asker: Arc<dyn Asker>, reports: mpsc::Sender<Report>) -> Self {
        Self { profile, asker, reports, answers: Arc::default(), refused: Arc::default() }
    }

    fn refuse(&self, target: &Target) {
        let refusal = Refusal { operation: RefusedOperation::Connect, target: target.to_string() };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < MAX_REFUSALS && !refused.contains(&refusal) {
            refused.push(refusal);
        }
    }

    /// Asks, once for all connections that wait for the same. Dropping every one of them withdraws the question.
    fn ask(&self, target: &Target, reason: String) -> Shared<BoxFuture<'static, Answered>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.get(target) {
            Some(Answering::Answered(answered)) => {
                return std::future::ready(answered.clone()).boxed().shared();
            }
            Some(Answering::Asked(asked)) => {
                if let Some(asked) = asked.upgrade() {
                    return asked;
                }
            }
            None => {}
        }
        let (asker, known, asked) = (Arc::clone(&self.asker), Arc::downgrade(&self.answers), target.clone());
        let asking = async move {
            let Target { protocol, host, port } = asked.clone();
            let decision = asker.ask(QuestionKind::Network { protocol, host, port }, reason).await;
            let answered = match decision {
                Decision::Allow { .. } => Answered::Yes,
                Decision::Deny { message } => Answered::No { message },
                Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
                    Answered::No { message: None }
                }
            };
            remember(&known, asked, &answered);
            answered
        };
        let asking = asking.boxed().shared();
        if let Some(waiting) = asking.downgrade() {
            if answers.len() >= MAX_ANSWERS {
                answers.clear();
            }
            answers.insert(target.clone(), Answering::Asked(waiting));
        }
        asking
    }
}

fn remember(known: &Weak<Mutex<BTreeMap<Target, Answering>>>, target: Target, answered: &Answered) {
    if let Some(known) = known.upgrade() {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(target, Answering::Answered(answered.clone()));
    }
}

impl Gate for RuleGate {
    fn decide(&self, target: Target) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            let found = ruling(&self.profile.network_rules, target.protocol, &target.host, target.port);
            let (is_listed, question) = match found {
                Some(Ruling { rule, is_listed }) => {
                    let reason = format!("the rule `{}`", display(rule));
                    match rule.decision {
                        NetworkDecision::Allow => return allowed(is_listed, reason),
                        NetworkDecision::Deny => {
                            return Verdict::Deny { reason: format!("{reason} refuses it") };
                        }
                        NetworkDecision::Prompt => (is_listed, format!("{reason} asks for it")),
                    }
                }
                None => (false, "no rule names it".to_owned()),
            };
            let local = target.local().map(place);
            if let (false, Some(place), Some(_)) = (is_listed, local, target.address()) {
                // A yes would open only what the internet has, so there is nothing to be asked.
                let reason = format!("{question}, and it is {place}; {HOW_TO_OPEN}");
                return Verdict::Deny { reason };
            }
            let place = local.map(|place| format!("; it is {place}")).unwrap_or_default();
            match self.ask(&target, format!("{}{place}", sentence(&question))).await {
                Answered::Yes => allowed(is_listed, "a person allowed it".to_owned()),
                Answered::No { message } => {
                    let message = message.unwrap_or_else(|| "nobody allowed it".to_owned());
                    Verdict::Deny { reason: format!("{question}: {message}; {HOW_TO_OPEN}") }
                }
            }
        })
    }

    fn lists(&self, protocol: NetworkProtocol, address: IpAddr, port: u16) -> bool {
        lists(&self.profile.network_rules, protocol, address, port)
    }

    fn attempted(&self, attempt: Attempt) -> BoxFuture<'_, ()> {
        if !attempt.is_allowed {
            self.refuse(&attempt.target);
        }
        let Attempt { target: Target { protocol, host, port }, is_allowed, reason } = attempt;
        Box::pin(async move {
            let report = Report::Connection { protocol, host, port, is_allowed, reason };
            if self.reports.send(report).await.is_err() {
                tracing::debug!("nobody hears of the connections of a command any more");
            }
        })
    }
}

/// Where a host of no internet is, for a person.
fn place(local: Local) -> &'static str {
    match local {
        Local::ThisMachine => "this machine itself",
        Local::ItsNetwork => "an address of a network around this machine, none of the internet",
    }
}

/// The text as the beginning of a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn allowed(is_listed: bool, reason: String) -> Verdict {
    if is_listed { Verdict::Anywhere { reason } } else { Verdict::Public { reason } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{Access, NetworkProtocol, NetworkRule};
    use protocol::question::GrantScope;
    use tokio::sync::Notify;

    /// Counts the questions, and answers them when it is let.
    struct SlowAsker {
        decision: Decision,
        asked: Mutex<Vec<QuestionKind>>,
        reasons: Mutex<Vec<String>>,
        go: Notify,
    }

    impl Asker for SlowAsker {
        fn ask(&self, kind: QuestionKind, reason: String) -> BoxFuture<'_, Decision> {
            self.asked.lock().expect("asked").push(kind);
            self.reasons.lock().expect("reasons").push(reason);
            Box::pin(async move {
                self.go.notified().await;
                self.decision.clone()
            })
        }
    }

    fn gate(rules: &[(&str, NetworkDecision)], decision: Decision) -> (RuleGate, Arc<SlowAsker>) {
        let asker = Arc::new(SlowAsker {
            decision,
            asked: Mutex::default(),
            reasons: Mutex::default(),
            go: Notify::new(),
        });
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Rules);
        let rule = |&(host, decision): &(&str, NetworkDecision)| NetworkRule {
            host: host.to_owned(),
            port: None,
            protocol: None,
            decision,
        };
        profile.network_rules = rules.iter().map(rule).collect();
        let (reports, _) = mpsc::channel(1);
        (RuleGate::new(Arc::new(profile), asker.clone(), reports), asker)
    }

    fn target(host: &str) -> Target {
        Target { protocol: NetworkProtocol::Https, host: host.to_owned(), port: 443 }
    }

    fn yes() -> Decision {
        Decision::Allow { scope: GrantScope::Once }
    }

    #[tokio::test]
    async fn rules_decide_without_a_question() {
        use NetworkDecision::{Allow, Deny};
        let (gate, asker) = gate(&[("*.open.net", Allow), ("localhost", Allow), ("closed.net", Deny)], yes());
        assert!(matches!(gate.decide(target("a.open.net")).await, Verdict::Public { .. }));
        assert!(matches!(gate.decide(target("localhost")).await, Verdict::Anywhere { .. }));
        let Verdict::Deny { reason } = gate.decide(target("closed.net")).await else {
            panic!("it is closed")
        };
        assert!(reason.contains("deny closed.net"), "{reason}");
        assert!(asker.asked.lock().expect("asked").is_empty());
    }

    #[tokio::test]
    async fn connections_at_the_same_time_ask_once_and_the_answer_holds_for_the_command() {
        let (gate, asker) = gate(&[], yes());
        asker.go.notify_one();
        let (one, other) = tokio::join!(gate.decide(target("a.net")), gate.decide(target("a.net")));
        assert!(matches!((one, other), (Verdict::Public { .. }, Verdict::Public { .. })));
        assert!(matches!(gate.decide(target("a.net")).await, Verdict::Public { .. }));
        assert_eq!(asker.asked.lock().expect("asked").len(), 1);
        asker.go.notify_one();
        gate.decide(target("b.net")).await;
        assert_eq!(asker.asked.lock().expect("asked").len(), 2);
    }

    #[tokio::test]
    async fn a_question_for_whose_answer_nobody_waits_is_asked_anew() {
        let (gate, asker) = gate(&[("a.net", NetworkDecision::Prompt)], yes());
        let mut waiting = gate.decide(target("a.net"));
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        asker.go.notify_one();
        assert!(matches!(gate.decide(target("a.net")).await, Verdict::Public { .. }));
        assert_eq!(asker.asked.lock().expect("asked").len(), 2);
    }

    #[tokio::test]
    async fn a_question_says_why_it_is_asked_and_where_the_host_is_if_not_in_the_internet() {
        let prompt = NetworkDecision::Prompt;
        for (rule, host, expected) in [
            (None, "a.net", "No rule names it"),
            (Some("a.net"), "a.net", "The rule `prompt a.net` asks for it"),
            (
                Some("127.0.0.1"),
                "127.0.0.1",
                "The rule `prompt 127.0.0.1` asks for it; it is this machine itself",
            ),
            (
                Some("169.254.169.254"),
                "169.254.169.254",
                "The rule `prompt 169.254.169.254` asks for it; it is an address of a network around this machine, none \
                 of the internet",
            ),
        ] {
            let rules: Vec<_> = rule.map(|rule| (rule, prompt)).into_iter().collect();
            let (gate, asker) = gate(&rules, yes());
            asker.go.notify_one();
            gate.decide(target(host)).await;
            assert_eq!(*asker.reasons.lock().expect("reasons"), [expected]);
        }
    }

    #[tokio::test]
    async fn where_a_yes_would_open_nothing_nobody_is_asked() {
        for rules in [&[][..], &[("*", NetworkDecision::Prompt)]] {
            for host in ["127.0.0.1", "169.254.169.254"] {
                let (gate, asker) = gate(rules, yes());
                let Verdict::Deny { reason } = gate.decide(target(host)).await else { panic!("{host}") };
                assert!(reason.contains("this machine") && reason.contains("config.toml"), "{reason}");
                assert!(asker.asked.lock().expect("asked").is_empty());
            }
        }
    }

    #[tokio::test]
    async fn refused_hosts_are_told_once_each_and_allowed_ones_are_not() {
        let (gate, _) = gate(&[], yes());
        for (host, is_allowed) in [("a.net", false), ("a.net", false), ("b.net", true)] {
            let target = target(host);
            gate.attempted(Attempt { target, is_allowed, reason: "a rule".to_owned() }).await;
        }
        let refused = gate.refused.lock().expect("refused").clone();
        let expected = Refusal { operation: RefusedOperation::Connect, target: "a.net:443".to_owned() };
        assert_eq!(refused, [expected]);
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_what_to_change() {
        let (gate, asker) =
            gate(&[], Decision::Deny { message: Some("Nobody can be asked here".to_owned()) });
        asker.go.notify_one();
        let Verdict::Deny { reason } = gate.decide(target("a.net")).await else { panic!("it is closed") };
        assert!(reason.contains("Nobody can be asked here") && reason.contains("config.toml"), "{reason}");
    }
}
