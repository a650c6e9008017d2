//! What a seed has in store: how many clients, which settings, and how each life of the daemon ends.

use protocol::context::ModelContext;
use protocol::ids::SessionId;
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::session::{AfterCrash, SessionSettings};
use protocol::turn::TurnLimits;

use crate::dice::Dice;
use crate::disk::Weather;

/// Effects are waited for so long at most.
const LATEST_MS: u64 = 900_000;

/// A run.
pub(crate) struct Plan {
    pub(crate) session: SessionId,
    pub(crate) settings: SessionSettings,
    pub(crate) clients: u64,
    /// The lives before the last one, which ends well.
    pub(crate) lives: Vec<Life>,
}

/// A life of the daemon that does not end well.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) weather: Weather,
    pub(crate) ending: Ending,
    /// Until the next one begins, in milliseconds.
    pub(crate) gap_ms: u64,
}

/// How a life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// A crash at the n-th effect, or after so long if there are not so many.
    CrashAtEffect { number: u64, at_ms: u64 },
    /// A crash after so long.
    CrashAt { at_ms: u64 },
    /// It stops after so long.
    Stop { hand_over: bool, at_ms: u64 },
}

impl Plan {
    /// By chance.
    pub(crate) fn of(dice: &Dice) -> Self {
        let lives = (0..dice.between(0..=3)).map(|_| life(dice)).collect();
        let clients = dice.between(1..=5);
        Self { session: SessionId(dice.uuid()), settings: settings(dice), clients, lives }
    }
}

fn life(dice: &Dice) -> Life {
    let range = |percent, longest| {
        let begin = dice.between(0..=8000);
        if dice.percent(percent) { begin..begin + dice.between(1..=longest) } else { 0..0 }
    };
    let weather = Weather { slow: range(25, 10_000), full: range(25, 4000) };
    let at_ms = match dice.between(1..=10) {
        1..=8 => dice.between(0..=15_000),
        9 => dice.between(15_000..=90_000),
        _ => dice.between(90_000..=700_000),
    };
    let ending = match dice.between(1..=100) {
        1..=50 => {
            let last = if dice.percent(50) { 60 } else { 600 };
            Ending::CrashAtEffect { number: dice.between(1..=last), at_ms: LATEST_MS }
        }
        51..=65 => Ending::CrashAt { at_ms },
        66..=85 => Ending::Stop { hand_over: true, at_ms },
        _ => Ending::Stop { hand_over: false, at_ms },
    };
    Life { weather, ending, gap_ms: dice.between(1..=5000) }
}

fn settings(dice: &Dice) -> SessionSettings {
    let limits = TurnLimits {
        deadline_ms: dice.percent(10).then(|| dice.between(1000..=60_000)),
        ..TurnLimits::default()
    };
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: Vec::new(),
        provider: "p".into(),
        model: "m".into(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: *dice
            .pick(&[
                ApprovalPolicy::OnRequest,
                ApprovalPolicy::OnRequest,
                ApprovalPolicy::Untrusted,
                ApprovalPolicy::Never,
            ])
            .unwrap(),
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits,
        price: None,
        is_ephemeral: false,
        after_crash: if dice.percent(50) { AfterCrash::Continue } else { AfterCrash::Wait },
        question_timeout_ms: dice.percent(25).then(|| dice.between(500..=60_000)),
        model_context: ModelContext {
            window_tokens: dice.percent(20).then(|| dice.between(1500..=6000)),
            compact_at_tokens: dice.percent(40).then(|| dice.between(20..=1500)),
            has_images: None,
        },
    }
}
