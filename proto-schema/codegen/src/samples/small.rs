//! Samples of `initialize`, `question/*`, `config/*` and `daemon/*`.

use protocol::config::{ConfigCheckParams, ConfigCheckResult};
use protocol::daemon::{
    DaemonShutdownParams, DaemonStatus, DaemonStatusParams, Folders, RateLimit, StorageProblem, StorageReport,
};
use protocol::error::ConfigurationProblem;
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::profile::{RungReport, SandboxReport, SandboxRung};
use protocol::question::{
    Decision, GrantScope, OpenQuestion, Question, QuestionAnswerParams, QuestionAnswerResult, QuestionKind,
    QuestionListParams, QuestionListResult,
};
use protocol::session::Done;
use protocol::version;

use super::{Sample, at, client_id, item_id, question_id, request_id, sample, session_id, turn_id, uuid};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        sample(
            "initialize.params",
            &InitializeParams {
                client_name: "skein exec".to_owned(),
                client_version: "0.1.0".to_owned(),
                client_build: Some("0.1.0+abc1234".to_owned()),
                protocol: version::SUPPORTED,
                environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            },
        ),
        sample(
            "initialize.result",
            &InitializeResult {
                protocol: version::SUPPORTED.max,
                client_id: client_id(),
                daemon_version: "0.1.0".to_owned(),
                daemon_build: "0.1.0+abc1234".to_owned(),
                epoch: uuid(0x6),
                features: Vec::new(),
            },
        ),
        sample("question.list.params", &QuestionListParams { session_id: Some(session_id()) }),
        sample(
            "question.list.result",
            &QuestionListResult {
                questions: vec![OpenQuestion {
                    session_id: session_id(),
                    agent: Some(super::session::agent_origin()),
                    question: question(),
                }],
            },
        ),
        sample(
            "question.answer.params",
            &QuestionAnswerParams {
                question_id: question_id(),
                decision: Decision::Allow { scope: GrantScope::Once },
                request_id: Some(request_id()),
            },
        ),
        sample("question.answer.result", &QuestionAnswerResult { session_id: session_id() }),
        sample("config.check.params", &ConfigCheckParams { file: Some("/home/ada/config.toml".into()) }),
        sample(
            "config.check.result",
            &ConfigCheckResult {
                file: "/home/ada/config.toml".into(),
                exists: true,
                errors: vec![problem()],
                warnings: Vec::new(),
            },
        ),
        sample("daemon.status.params", &DaemonStatusParams { with_sandbox: true, with_storage: true }),
        sample("daemon.status.result", &status()),
        sample("daemon.shutdown.params", &DaemonShutdownParams { hand_over: true }),
        sample("daemon.shutdown.result", &Done {}),
    ]
}

pub(super) fn question() -> Question {
    Question {
        id: question_id(),
        turn_id: turn_id(),
        item_id: item_id(),
        asked_at: at(4),
        kind: QuestionKind::Command {
            command: "git push".to_owned(),
            argv: vec!["git".to_owned(), "push".to_owned()],
            cwd: "/repo".into(),
            is_escalated: true,
            justification: Some("The branch is to be published".to_owned()),
            refusals: Vec::new(),
            proposed_rule: Some(
                "prefix_rule(pattern = [\"git\", \"push\"], decision = \"allow\")".to_owned(),
            ),
        },
        reason: "The model wants to leave the sandbox".to_owned(),
    }
}

pub(super) fn problem() -> ConfigurationProblem {
    ConfigurationProblem {
        origin: "/home/ada/config.toml".to_owned(),
        line: Some(1),
        column: Some(16),
        key: Some("sandbox_mode".to_owned()),
        message:
            "`sandbox_mode` must be one of `read-only`, `workspace-write`, `danger-full-access`, but is \
                  `read-onyl`"
                .to_owned(),
        suggestion: Some("read-only".to_owned()),
        excerpt: Some("1 | sandbox_mode = \"read-onyl\"\n  |                ^^^^^^^^^^^".to_owned()),
    }
}

fn status() -> DaemonStatus {
    DaemonStatus {
        pid: 4711,
        version: "0.1.0".to_owned(),
        build: "0.1.0+abc1234".to_owned(),
        installed_build: Some("0.1.1+def5678".to_owned()),
        epoch: uuid(0x6),
        started_at: at(0),
        is_draining: false,
        connections: 1,
        loaded_sessions: 2,
        running_turns: 1,
        resident_bytes: Some(18_874_368),
        folders: Folders {
            config: "/home/ada/.config/skein".into(),
            state: "/home/ada/.local/share/skein".into(),
            socket: "/run/user/1000/skein/daemon.sock".into(),
            log: "/home/ada/.local/share/skein/log/daemon.log".into(),
        },
        sandbox: Some(SandboxReport {
            chosen: SandboxRung::Namespaces,
            rungs: vec![RungReport {
                rung: SandboxRung::Namespaces,
                is_available: true,
                reason: "A probe could neither write outside nor connect".to_owned(),
                hint: None,
            }],
        }),
        warnings: vec!["`/home/ada` is on NFS".to_owned()],
        storage: Some(StorageReport {
            problems: vec![StorageProblem {
                session_id: Some(session_id()),
                reason: "event 7 is missing".to_owned(),
                hint: "Delete the session".to_owned(),
            }],
            is_complete: true,
        }),
        rate_limits: vec![RateLimit {
            provider: "openai".to_owned(),
            name: "requests".to_owned(),
            remaining: Some(4990),
            limit: Some(5000),
            used_percent: None,
            resets_at: Some(at(60)),
        }],
    }
}
