//! Any sequence of calls and of edits by people, and any rewind: what is taken back is as it was, byte for byte, and
//! undoing that gives what was there.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use protocol::event::{Event, EventRecord, TurnStarted};
use protocol::ids::{ClientId, ItemId, Seq, Timestamp, TurnId};
use protocol::rewind::{ConflictChoice, RewindParams, RewindScope, RewindTarget, SessionRewound};
use protocol::turn::{Actor, TurnLimits};
use store::{Durability, StoreOptions};

use super::*;
use crate::rewind::Planned;
use crate::story::Story;

/// One edit.
#[derive(Clone, Debug)]
enum Edit {
    Write(&'static str, Vec<u8>),
    Remove(&'static str),
    SetMode(&'static str, u32),
    Link(&'static str, &'static str),
    Folder(&'static str),
}

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/e", ".env"];

type All = BTreeMap<PathBuf, Version>;

/// A session in miniature: a folder, a log, and who watches.
struct Bench {
    _folder: tempfile::TempDir,
    root: PathBuf,
    store: Store,
    files: Files,
    session: SessionId,
    log: Vec<EventRecord>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let scratch = folder.path().canonicalize().expect("real");
        let options = StoreOptions {
            database: scratch.join("skein.db"),
            blobs: scratch.join("blobs"),
            durability: Durability::Process,
            blob_cap_bytes: 1 << 20,
        };
        let root = scratch.join("root");
        fs::create_dir(&root).expect("root");
        let store = Store::open(options).await.expect("store");
        let files = Files::new(store.clone(), scratch, Vec::new());
        Self { _folder: folder, root, store, files, session: SessionId::generate(), log: Vec::new() }
    }

    fn edit(&self, edit: &Edit) {
        // What does not fit what is there, such as a file below a file, changes nothing.
        let path = |name: &str| self.root.join(name);
        let clear = |name: &str| {
            let _ = fs::remove_dir_all(path(name)).or_else(|_| fs::remove_file(path(name)));
        };
        match edit {
            Edit::Write(name, bytes) => {
                let _ = fs::write(path(name), bytes);
            }
            Edit::Remove(name) => clear(name),
            Edit::SetMode(name, bits) => {
                if fs::symlink_metadata(path(name)).is_ok_and(|found| !found.is_symlink()) {
                    let _ = rustix::fs::chmod(path(name), rustix::fs::Mode::from_raw_mode(*bits));
                }
            }
            Edit::Link(name, target) => {
                clear(name);
                let _ = rustix::fs::symlink(*target, path(name));
            }
            Edit::Folder(name) => {
                let _ = fs::create_dir(path(name));
            }
        }
    }

    fn note(&mut self, event: Event) {
        let seq = Seq(self.log.len() as u64 + 1);
        self.log.push(EventRecord { seq, at: Timestamp(1), request_id: None, event });
    }

    /// A turn of one call.
    async fn turn(&mut self, edits: &[Edit]) {
        let (session_id, turn_id, item_id) = (self.session, TurnId::generate(), ItemId::generate());
        let (limits, output_schema, queued_id) = (TurnLimits::default(), None, None);
        self.note(Event::TurnStarted(TurnStarted {
            turn_id,
            actor: actor(),
            limits,
            output_schema,
            queued_id,
        }));
        let call = Call { session_id, turn_id, item_id, roots: vec![self.root.clone()] };
        assert_eq!(self.files.before(&call).await, [""; 0]);
        edits.iter().for_each(|edit| self.edit(edit));
        if let Some(changed) = self.files.after(&call).await {
            self.note(Event::FilesChanged(changed));
        }
    }

    /// Rewinds, overwriting what others did, and says whether nothing was in the way.
    async fn rewind(&mut self, target: RewindTarget) -> bool {
        let params = RewindParams {
            session_id: self.session,
            target,
            scope: RewindScope::Code,
            conflicts: None,
            request_id: None,
        };
        let mut planned = Planned::new(self.store.blobs(), &Story::of(&self.log), &params)
            .expect("something to go back to");
        let is_free = planned.settle(None).expect("no choice");
        assert!(planned.settle(Some(&ConflictChoice::Theirs)).expect("choice"));
        let plan = planned.keep(&self.store, self.session).await.expect("kept");
        let (scope, turns, undoes) = (plan.scope, plan.turns, plan.undoes);
        let (count, changes) = (plan.count, plan.changes.clone());
        self.note(Event::SessionRewound(SessionRewound {
            actor: actor(),
            scope,
            turns,
            undoes,
            count,
            changes,
        }));
        let mut left = 0;
        if let Some(list) = plan.changes {
            let list = read_changes(self.store.blobs(), &list).expect("list");
            let rule = PathRule { path: self.root.clone(), access: Access::Write };
            let profile =
                Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![rule], NetworkAccess::Off);
            // A rewind that is cut off is done once more.
            for _ in 0..2 {
                let ended = restore(self.store.blobs(), &profile, &list);
                left = ended.left.len();
                assert_eq!(ended.restored as usize + left, plan.count as usize);
            }
        }
        is_free && left == 0
    }

    /// All that stands in the folder.
    fn all(&self) -> All {
        let mut found = BTreeMap::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                let version = history::look(&path).expect("look").expect("there");
                if version.kind == VersionKind::Folder {
                    open.push(path.clone());
                }
                found.insert(path, version);
            }
        }
        found
    }
}

fn actor() -> Actor {
    Actor { client_id: ClientId::generate(), name: "me".to_owned() }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let path = || prop::sample::select(&PATHS[..]);
    let edit = prop_oneof![
        4 => (path(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(path, bytes)| Edit::Write(path, bytes)),
        2 => path().prop_map(Edit::Remove),
        1 => (path(), prop::sample::select(&[0o700, 0o755][..])).prop_map(|(path, bits)| Edit::SetMode(path, bits)),
        1 => (path(), path()).prop_map(|(path, target)| Edit::Link(path, target)),
        3 => path().prop_map(Edit::Folder),
    ];
    prop::collection::vec(edit, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rewind_gives_what_was_there_and_its_undo_what_is_there(
        turns in prop::collection::vec(edits(), 1..5),
        to in any::<prop::sample::Index>(),
        mine in prop::option::of(edits()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let mut bench = Bench::new().await;
            let mut states = Vec::new();
            for edits in &turns {
                states.push(bench.all());
                bench.turn(edits).await;
            }
            let untouched = bench.all();
            mine.iter().flatten().for_each(|edit| bench.edit(edit));
            let last = bench.all();
            let to = to.index(states.len());
            let turn_id = Story::of(&bench.log).turns[to].id;
            let is_free = bench.rewind(RewindTarget::Turn { turn_id }).await;
            let expected = &states[to];
            if last == untouched {
                assert!(is_free, "nobody else changed anything");
                assert_eq!(&bench.all(), expected);
            }
            bench.rewind(RewindTarget::Undo).await;
            assert_eq!(bench.all(), last);
        });
    }
}
