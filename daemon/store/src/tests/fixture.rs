//! A store in a scratch folder, and small events and summaries to put into it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::event::{Event, EventRecord, ItemAppended, TurnStarted};
use protocol::ids::{ClientId, ItemId, Seq, SessionId, Timestamp, TurnId};
use protocol::model::Usage;
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::session::{SessionSettings, SessionStatus, SessionSummary};
use protocol::turn::{Actor, TurnLimits};
use tempfile::TempDir;

use crate::{Append, Durability, Store, StoreOptions};

pub(crate) struct Fixture {
    pub(crate) scratch: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { scratch: tempfile::tempdir().expect("scratch") }
    }

    pub(crate) fn options(&self) -> StoreOptions {
        options_in(self.scratch.path())
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.options()).await.expect("store")
    }

    /// Every file below the scratch folder, with its size.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.scratch.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("folder") {
                let entry = entry.expect("entry");
                let metadata = entry.metadata().expect("metadata");
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    files.insert(entry.path(), metadata.len());
                }
            }
        }
        files
    }
}

pub(crate) fn options_in(folder: &Path) -> StoreOptions {
    StoreOptions {
        database: folder.join("skein.db"),
        blobs: folder.join("blobs"),
        durability: Durability::Process,
        blob_cap_bytes: 1 << 20,
    }
}

/// Events from a place on, one for each text.
pub(crate) fn texts(first: u64, texts: &[&str]) -> Vec<EventRecord> {
    let item_id = ItemId::generate();
    (first..)
        .zip(texts)
        .map(|(seq, text)| EventRecord {
            seq: Seq(seq),
            at: Timestamp(1000 + seq),
            request_id: None,
            event: Event::ItemAppended(ItemAppended { item_id, offset_bytes: 0, text: (*text).to_owned() }),
        })
        .collect()
}

pub(crate) fn turn_started(seq: u64) -> EventRecord {
    let event = Event::TurnStarted(TurnStarted {
        turn_id: TurnId::generate(),
        actor: Actor { client_id: ClientId::generate(), name: "test".to_owned() },
        limits: TurnLimits::default(),
        output_schema: None,
        queued_id: None,
    });
    EventRecord { seq: Seq(seq), at: Timestamp(1000 + seq), request_id: None, event }
}

pub(crate) fn append(session: SessionId, records: Vec<EventRecord>) -> Append {
    Append { session, records, summary: None, spent: Vec::new() }
}

pub(crate) fn summary(session: SessionId, updated_at: u64) -> SessionSummary {
    SessionSummary {
        id: session,
        title: Some("a title".to_owned()),
        status: SessionStatus::Idle,
        created_at: Timestamp(1),
        updated_at: Timestamp(updated_at),
        seq: Seq(1),
        turn_count: 0,
        usage: Usage::default(),
        settings: SessionSettings {
            cwd: "/repo".into(),
            additional_roots: Vec::new(),
            provider: "openai".to_owned(),
            model: "a-model".to_owned(),
            reasoning_effort: None,
            reasoning_summary: None,
            developer_instructions: None,
            sandbox: SandboxMode::WorkspaceWrite,
            network: NetworkAccess::default(),
            approval: ApprovalPolicy::OnRequest,
            is_tmp_writable: true,
            permissions: None,
            budget: protocol::turn::Budget::default(),
            limits: TurnLimits::default(),
            price: None,
            is_ephemeral: false,
            after_crash: protocol::session::AfterCrash::Wait,
            question_timeout_ms: None,
            model_context: protocol::context::ModelContext::default(),
        },
        agent: None,
        background: Vec::new(),
    }
}
