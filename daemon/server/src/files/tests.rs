//! Any sequence of calls and of edits by people, and any rewind: what is taken back is as it was, byte for byte, and
//! undoing that gives what was there.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use protocol::event::{Event, EventRecord, TurnStarted};
use protocol::ids::{ClientId, ItemId, Seq, Timestamp, TurnId};
use protocol::profile::ApprovalPolicy;
use protocol::rewind::{ConflictChoice, RewindParams, RewindScope, RewindTarget, SessionRewound};
use protocol::session::AfterCrash;
use protocol::turn::{Actor, TurnLimits};
use store::StoreOptions;
use workspace::history;

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

/// A call with its edits.
#[derive(Clone, Debug)]
struct Turn {
    edits: Vec<Edit>,
    end: End,
}

/// How a call ends.
#[derive(Clone, Debug)]
enum End {
    Whole,
    /// The daemon dies in the middle of it.
    Crash,
    /// A command goes on in the background, and edits.
    Busy {
        later: Vec<Edit>,
        then: Then,
    },
}

/// What becomes of that command.
#[derive(Clone, Debug)]
enum Then {
    Looked,
    Crash,
}

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/e", ".env"];

type All = BTreeMap<PathBuf, Version>;

/// A session in miniature: a folder, a log, and who watches.
struct Bench {
    folder: tempfile::TempDir,
    root: PathBuf,
    store: Store,
    files: Files,
    session: SessionId,
    log: Vec<EventRecord>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Durability::Process).await
    }

    async fn with(durability: Durability) -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let scratch = folder.path().canonicalize().expect("real");
        let options = StoreOptions {
            database: scratch.join("skein.db"),
            blobs: scratch.join("blobs"),
            durability,
            blob_cap_bytes: 1 << 20,
        };
        let root = scratch.join("root");
        fs::create_dir(&root).expect("root");
        let store = Store::open(options).await.expect("store");
        let files = Files::new(store.clone(), &scratch, Vec::new());
        Self { folder, root, store, files, session: SessionId::generate(), log: Vec::new() }
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
    async fn turn(&mut self, turn: &Turn) {
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
        let before = self.files.before(&call).await;
        assert!(before.notices.is_empty(), "{before:?}");
        self.note_changed(before.meanwhile);
        turn.edits.iter().for_each(|edit| self.edit(edit));
        match &turn.end {
            End::Whole => {
                let changed = self.files.after(&call, Background::Quiet).await;
                self.note_changed(changed);
            }
            End::Crash => self.crash(BTreeSet::from([item_id])).await,
            End::Busy { later, then } => {
                let changed = self.files.after(&call, Background::Busy).await;
                self.note_changed(changed);
                later.iter().for_each(|edit| self.edit(edit));
                match then {
                    Then::Looked => {
                        let changed = self.files.meanwhile(session_id, turn_id, Background::Quiet).await;
                        assert!(
                            changed.iter().all(|changed| changed.is_meanwhile && changed.item_id == item_id)
                        );
                        self.note_changed(changed);
                    }
                    Then::Crash => self.crash(BTreeSet::new()).await,
                }
            }
        }
    }

    fn note_changed(&mut self, changed: Option<FilesChanged>) {
        if let Some(changed) = changed {
            self.note(Event::FilesChanged(changed));
        }
    }

    /// The daemon dies and is there again, twice before anything is in the log.
    async fn crash(&mut self, open: BTreeSet<ItemId>) {
        let mut found = Vec::new();
        for _ in 0..2 {
            let folder = self.folder.path().canonicalize().expect("real");
            let next = Files::new(self.store.clone(), &folder, Vec::new());
            // What a daemon that dies has on disk, stays there.
            std::mem::forget(std::mem::replace(&mut self.files, next));
            found = self.files.recover(self.session, open.clone()).await;
        }
        assert_eq!(self.files.recover(self.session, open).await, [], "each is told once");
        for changed in found {
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

fn turns() -> impl Strategy<Value = Turn> {
    let then = prop_oneof![3 => Just(Then::Looked), 1 => Just(Then::Crash)];
    let end = prop_oneof![
        3 => Just(End::Whole),
        1 => Just(End::Crash),
        2 => (edits(), then).prop_map(|(later, then)| End::Busy { later, then }),
    ];
    (edits(), end).prop_map(|(edits, end)| Turn { edits, end })
}

/// What a rewind asks a person about.
fn is_doubtful(turns: &[Turn]) -> bool {
    turns.iter().any(|turn| matches!(&turn.end, End::Busy { later, .. } if !later.is_empty()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rewind_gives_what_was_there_and_its_undo_what_is_there(
        turns in prop::collection::vec(turns(), 1..5),
        to in any::<prop::sample::Index>(),
        mine in prop::option::of(edits()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let mut bench = Bench::new().await;
            let mut states = Vec::new();
            for turn in &turns {
                states.push(bench.all());
                bench.turn(turn).await;
            }
            let untouched = bench.all();
            mine.iter().flatten().for_each(|edit| bench.edit(edit));
            let last = bench.all();
            let to = to.index(states.len());
            let turn_id = Story::of(&bench.log).turns[to].id;
            let is_free = bench.rewind(RewindTarget::Turn { turn_id }).await;
            let expected = &states[to];
            if last == untouched {
                assert!(is_free || is_doubtful(&turns[to..]), "nobody else changed anything");
                assert_eq!(&bench.all(), expected);
            }
            bench.rewind(RewindTarget::Undo).await;
            assert_eq!(bench.all(), last);
        });
    }
}

/// A session with one call that left a command in the background, which then wrote.
async fn left_behind() -> Bench {
    let mut bench = Bench::new().await;
    let edits = vec![Edit::Write("a", b"by the call".to_vec())];
    let later = vec![Edit::Write("d", b"later".to_vec())];
    bench.turn(&Turn { edits, end: End::Busy { later, then: Then::Looked } }).await;
    bench
}

#[tokio::test]
async fn what_a_command_in_the_background_may_have_changed_is_a_conflict() {
    let mut bench = left_behind().await;
    assert!(!bench.rewind(RewindTarget::LastTurn).await, "nobody knows who it was");
    assert!(bench.all().is_empty(), "but it can be taken back");
}

#[tokio::test]
async fn what_a_person_changes_while_nothing_goes_on_is_nobodys_here() {
    let mut bench = left_behind().await;
    bench.edit(&Edit::Write("mine", b"mine".to_vec()));
    let known = bench.log.len();
    bench.turn(&Turn { edits: Vec::new(), end: End::Whole }).await;
    assert_eq!(bench.log.len(), known + 1, "only that a turn started");
}

#[tokio::test]
async fn what_is_kept_of_a_tree_goes_with_it_and_what_a_crash_left_is_bounded() {
    let bench = left_behind().await;
    let folder = bench.folder.path().canonicalize().expect("real");
    let kept = || {
        let entries = fs::read_dir(&folder).expect("folder").filter_map(Result::ok);
        entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"tree-")).count()
    };
    assert_eq!(kept(), 1);
    drop(bench.files);
    assert_eq!(kept(), 0);
    for _ in 0..20 {
        let shelf = Shelf::open(Path::new("/nowhere"), Durability::Process);
        drop(shelf);
        let shelf = Shelf::open(&folder, Durability::Process);
        std::mem::forget(shelf.slot(SessionId::generate(), &bench.root).expect("slot"));
        std::mem::forget(shelf);
    }
    assert!(kept() <= 9, "{}", kept());
}

/// A call that begins in a turn of its own.
async fn begun(bench: &mut Bench) -> Call {
    let (session_id, turn_id, item_id) = (bench.session, TurnId::generate(), ItemId::generate());
    let (limits, output_schema, queued_id) = (TurnLimits::default(), None, None);
    let started = TurnStarted { turn_id, actor: actor(), limits, output_schema, queued_id };
    bench.note(Event::TurnStarted(started));
    let call = Call { session_id, turn_id, item_id, roots: vec![bench.root.clone()] };
    assert!(bench.files.before(&call).await.notices.is_empty());
    call
}

fn settings(cwd: &Path) -> SessionSettings {
    SessionSettings {
        cwd: cwd.to_owned(),
        additional_roots: Vec::new(),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::Never,
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits: TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: AfterCrash::Wait,
        question_timeout_ms: None,
        model_context: protocol::context::ModelContext::default(),
    }
}

#[tokio::test]
async fn what_a_command_writes_while_a_rewind_goes_on_stays_and_is_told() {
    let mut bench = Bench::new().await;
    bench.edit(&Edit::Write("a", b"one".to_vec()));
    let call = begun(&mut bench).await;
    bench.edit(&Edit::Write("a", b"two".to_vec()));
    bench.edit(&Edit::Write("d", b"made".to_vec()));
    let changed = bench.files.after(&call, Background::Busy).await;
    bench.note_changed(changed);
    let params = RewindParams {
        session_id: bench.session,
        target: RewindTarget::LastTurn,
        scope: RewindScope::Code,
        conflicts: None,
        request_id: None,
    };
    let planned = Planned::new(bench.store.blobs(), &Story::of(&bench.log), &params).expect("a plan");
    let plan = planned.keep(&bench.store, bench.session).await.expect("kept");
    // All is planned, nothing is done, and the command goes on.
    bench.edit(&Edit::Write("a", b"by the command".to_vec()));
    bench.edit(&Edit::Write(".env", b"it too".to_vec()));
    let changes = plan.changes.expect("changes");
    let restored = bench.files.restore(bench.session, &settings(&bench.root), &changes).await;
    let left: Vec<_> = restored.ended.left.iter().map(|left| left.path.clone()).collect();
    assert_eq!((restored.ended.restored, left), (1, vec![bench.root.join("a")]), "{restored:?}");
    let read = |name: &str| fs::read_to_string(bench.root.join(name)).ok();
    assert_eq!((read("a").as_deref(), read("d")), (Some("by the command"), None));
    let meanwhile = restored.meanwhile.expect("what the command did");
    assert_eq!(meanwhile.paths, [bench.root.join(".env"), bench.root.join("a")], "not what the rewind did");
    assert!(meanwhile.is_meanwhile && meanwhile.item_id == call.item_id);
}

#[tokio::test]
async fn contents_that_a_loss_of_power_took_cost_no_more_than_themselves() {
    let mut bench = Bench::new().await;
    bench.edit(&Edit::Write("a", b"one".to_vec()));
    let call = begun(&mut bench).await;
    bench.edit(&Edit::Write("a", b"two".to_vec()));
    bench.edit(&Edit::Write("d", b"made".to_vec()));
    let folder = bench.folder.path().canonicalize().expect("real");
    let next = Files::new(bench.store.clone(), &folder, Vec::new());
    std::mem::forget(std::mem::replace(&mut bench.files, next));
    for entry in fs::read_dir(&folder).expect("folder").filter_map(Result::ok) {
        if entry.file_name().as_encoded_bytes().starts_with(b"tree-") {
            fs::write(entry.path().join("contents"), b"").expect("cut off");
        }
    }
    let found = bench.files.recover(bench.session, BTreeSet::from([call.item_id])).await;
    let list = read_changes(bench.store.blobs(), &found[0].changes).expect("list");
    let has_content = |version: Option<&FileVersion>| version.map(|version| version.content.is_some());
    let told: Vec<_> = list
        .iter()
        .map(|changed| (has_content(changed.before.as_ref()), has_content(changed.after.as_ref())))
        .collect();
    assert_eq!(
        told,
        [(Some(false), Some(true)), (None, Some(true))],
        "what it was is lost, not that it was changed"
    );
}

#[tokio::test]
async fn what_waits_for_the_disk_is_taken_back_like_any_other() {
    let mut bench = Bench::with(Durability::Power).await;
    bench.edit(&Edit::Write("a", b"one".to_vec()));
    let before = bench.all();
    let edits = vec![Edit::Write("a", b"two".to_vec()), Edit::Write("d", b"made".to_vec())];
    bench.turn(&Turn { edits, end: End::Crash }).await;
    assert!(bench.rewind(RewindTarget::LastTurn).await);
    assert_eq!(bench.all(), before);
}

#[tokio::test]
async fn what_git_runs_programs_by_is_told_of_where_a_git_directory_came() {
    let mut bench = Bench::new().await;
    let root = bench.root.clone();
    let make = |names: &[&str]| {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, "x").expect("file");
        }
    };
    make(&["lib/a", "old/.git/config", "bare/config"]);
    let mut late = Vec::new();
    for made in [
        &["lib/.git/config", "lib/.git/hooks/pre-commit", "lib/.git/hooks/pre-push.sample"][..],
        &["lib/.git/config", "lib/b"],
        &["tree/.git", "old/.git/hooks/x", ".git/config"],
        &["bare/HEAD", "bare/objects/x", "bare/refs/x"],
    ] {
        let call = begun(&mut bench).await;
        make(made);
        let changed = bench.files.after(&call, Background::Quiet).await;
        late.push(changed.map(|changed| {
            assert_eq!(changed.count as usize, changed.paths.len());
            changed.runs_later
        }));
    }
    // A call that a crash of the daemon cut off: what was there before it is not told again.
    let call = begun(&mut bench).await;
    make(&["cut/.git/config", "cut/.git/hooks/post-checkout", "lib/c"]);
    bench.crash(BTreeSet::from([call.item_id])).await;
    late.push(bench.log.iter().rev().find_map(|record| match &record.event {
        Event::FilesChanged(changed) => Some(changed.runs_later.clone()),
        _ => None,
    }));
    let paths = |names: &[&str]| Some(names.iter().map(|name| root.join(name)).collect::<Vec<_>>());
    assert_eq!(
        late,
        [
            paths(&["lib/.git/config", "lib/.git/hooks/pre-commit"]),
            paths(&[]),
            paths(&["tree/.git"]),
            paths(&["bare/config"]),
            paths(&["cut/.git/config", "cut/.git/hooks/post-checkout"]),
        ]
    );
}

#[tokio::test]
async fn a_rebase_that_was_left_to_run_something_is_told_of_where_commits_are_allowed() {
    let bench = Bench::new().await;
    let (root, session_id) = (bench.root.clone(), bench.session);
    for folder in [".git/objects", ".git/refs", ".git/rebase-merge"] {
        fs::create_dir_all(root.join(folder)).expect("folder");
    }
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
    let list = root.join(".git/rebase-merge/git-rebase-todo");
    // A person's own, before.
    fs::write(&list, "exec make\n").expect("list");
    let home = bench.folder.path().canonicalize().expect("real").join("skein");
    let folders = wire::folders::Folders { config: home.clone(), state: home.clone(), runtime: home };
    let reach = Arc::new(Reach::new(&folders));
    let files = bench.files.telling(Arc::clone(&reach));
    let mut settings = settings(&root);
    settings.sandbox = SandboxMode::WorkspaceWrite;
    settings.permissions.get_or_insert_default().is_commit_allowed = true;
    let mut late = Vec::new();
    for text in ["exec make\n", "exec touch x\n", "exec touch x\n", "pick 1234 x\n"] {
        reach.profile(&settings, &[]);
        let (turn_id, item_id) = (TurnId::generate(), ItemId::generate());
        let call = Call { session_id, turn_id, item_id, roots: vec![root.clone()] };
        files.before(&call).await;
        fs::write(&list, text).expect("list");
        late.extend(files.after(&call, Background::Quiet).await.map(|changed| (text, changed.runs_later)));
    }
    assert_eq!(late, [("exec touch x\n", vec![list])]);
}

#[tokio::test]
async fn that_a_folder_has_too_much_in_it_to_be_searched_is_said_once() {
    let bench = Bench::new().await;
    for number in 0..=50_000 {
        fs::write(bench.root.join(number.to_string()), "").expect("file");
    }
    let home = bench.folder.path().canonicalize().expect("real").join("skein");
    let folders = wire::folders::Folders { config: home.clone(), state: home.clone(), runtime: home };
    let reach = Arc::new(Reach::new(&folders));
    let files = bench.files.telling(Arc::clone(&reach));
    let (session_id, turn_id) = (bench.session, TurnId::generate());
    let roots = vec![bench.root.clone()];
    let mut told = Vec::new();
    for _ in 0..2 {
        reach.profile(&settings(&bench.root), &[]);
        let call = Call { session_id, turn_id, item_id: ItemId::generate(), roots: roots.clone() };
        told.push(files.before(&call).await.notices.len());
    }
    assert_eq!(told, [1, 0]);
}
