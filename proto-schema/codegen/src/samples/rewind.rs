//! Samples of `rewind/*`, `diff/*` and `output/*`, and of the events of files and rewinds.

use protocol::diff::{DiffReadParams, DiffReadResult, FileChangeKind, FileDiff};
use protocol::event::Event;
use protocol::ids::Seq;
use protocol::output::{OutputReadParams, OutputReadResult};
use protocol::rewind::{
    ConflictChoice, FilesChanged, LeftFile, RewindAction, RewindEnded, RewindParams, RewindResult,
    RewindScope, RewindTarget, RewoundFile, SessionRewound,
};

use super::{Sample, actor, blob_id, item_id, request_id, sample, session_id, turn_id};

pub(super) fn samples() -> Vec<Sample> {
    let params = RewindParams {
        session_id: session_id(),
        target: RewindTarget::Turn { turn_id: turn_id() },
        scope: RewindScope::Both,
        conflicts: Some(ConflictChoice::Both),
        request_id: Some(request_id()),
    };
    let file =
        RewoundFile { path: "/repo/src/lib.rs".into(), action: RewindAction::Restored, is_conflict: true };
    let result = RewindResult {
        is_done: true,
        turns: vec![turn_id()],
        files: vec![file],
        count: 1,
        conflicts: 1,
        left: vec![left()],
    };
    let diff = FileDiff {
        path: "/repo/src/lib.rs".into(),
        change: FileChangeKind::Modified,
        added: 1,
        removed: 1,
        text: "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1 +1 @@\n-one\n+two\n".to_owned(),
    };
    vec![
        sample(
            "rewind.preview.params",
            &RewindParams { conflicts: None, request_id: None, ..params.clone() },
        ),
        sample("rewind.preview.result", &RewindResult { is_done: false, ..result.clone() }),
        sample("rewind.start.params", &params),
        sample("rewind.start.result", &result),
        sample("diff.read.params", &DiffReadParams { session_id: session_id(), turn_id: Some(turn_id()) }),
        sample("diff.read.result", &DiffReadResult { files: vec![diff], count: 1 }),
        sample(
            "output.read.params",
            &OutputReadParams {
                session_id: session_id(),
                blob: blob_id(),
                offset_bytes: 262_144,
                limit_bytes: Some(65_536),
            },
        ),
        sample(
            "output.read.result",
            &OutputReadResult {
                text: "test 4000 ... ok\n".to_owned(),
                next_offset_bytes: Some(327_680),
                total_bytes: 500_000,
            },
        ),
    ]
}

pub(super) fn events() -> [(&'static str, Event); 3] {
    let changed = FilesChanged {
        turn_id: turn_id(),
        item_id: item_id(),
        count: 2,
        paths: vec!["/repo/Makefile".into(), "/repo/src/lib.rs".into()],
        changes: blob_id(),
        runs_later: vec!["/repo/Makefile".into()],
        is_meanwhile: true,
    };
    let rewound = SessionRewound {
        actor: actor(),
        scope: RewindScope::Both,
        turns: vec![turn_id()],
        undoes: Some(Seq(5)),
        count: 2,
        changes: Some(blob_id()),
    };
    [
        ("filesChanged", Event::FilesChanged(changed)),
        ("sessionRewound", Event::SessionRewound(rewound)),
        ("rewindEnded", Event::RewindEnded(RewindEnded { restored: 1, left: vec![left()] })),
    ]
}

fn left() -> LeftFile {
    LeftFile { path: "/repo/video.mp4".into(), reason: "It was too large to be kept".to_owned() }
}
