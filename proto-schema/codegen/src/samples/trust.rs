//! Samples of `trust/*`.

use protocol::trust::{
    Declaration, DeclarationKind, DeclarationState, FolderTrust, TrustReadParams, TrustSetParams,
};

use super::{Sample, sample};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        sample("trust.read.params", &TrustReadParams { folder: "/repo/src".into() }),
        sample("trust.read.result", &trust(DeclarationState::Changed)),
        sample(
            "trust.set.params",
            &TrustSetParams { folder: "/repo".into(), hashes: vec!["2c26".repeat(16)] },
        ),
        sample("trust.set.result", &trust(DeclarationState::Trusted)),
    ]
}

fn trust(state: DeclarationState) -> FolderTrust {
    FolderTrust {
        folder: "/repo".into(),
        declarations: vec![Declaration {
            kind: DeclarationKind::Hook,
            file: ".skein/hooks.json".into(),
            name: "PreToolUse".to_owned(),
            text: "./check.sh".to_owned(),
            files: vec!["check.sh".into()],
            hash: "2c26".repeat(16),
            state,
        }],
        problems: vec!["`.codex/hooks.json`: It is not JSON".to_owned()],
    }
}
