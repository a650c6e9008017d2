//! Samples of `languageServer/*`.

use protocol::language_server::{
    LanguageServerListParams, LanguageServerListResult, LanguageServerState, LanguageServerStatus,
};

use super::{Sample, sample};

pub(super) fn samples() -> Vec<Sample> {
    let server = LanguageServerStatus {
        name: "rust-analyzer".to_owned(),
        endings: vec!["rs".to_owned()],
        program: Some("/usr/bin/rust-analyzer".into()),
        state: LanguageServerState::Ready,
    };
    let message = "The language server does not read what it is told".to_owned();
    let failed = LanguageServerStatus {
        name: "gopls".to_owned(),
        endings: vec!["go".to_owned()],
        program: Some("/usr/bin/gopls".into()),
        state: LanguageServerState::Failed { message },
    };
    let result = LanguageServerListResult { is_on: true, is_trusted: false, servers: vec![failed, server] };
    vec![
        sample("languageServer.list.params", &LanguageServerListParams { cwd: "/repo".into() }),
        sample("languageServer.list.result", &result),
    ]
}
