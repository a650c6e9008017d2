//! Profiles mean what they say, and matching is what a slow, obvious model says.

use proptest::prelude::*;
use protocol::profile::{ApprovalPolicy, GlobRule, Permissions};

use super::*;

fn settings(sandbox: SandboxMode) -> SessionSettings {
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: vec!["/data".into()],
        provider: "p".into(),
        model: "m".into(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits: protocol::turn::TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: protocol::session::AfterCrash::default(),
        question_timeout_ms: None,
        model_context: protocol::context::ModelContext::default(),
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        opened: Vec::new(),
        git_directories: vec!["/main/.git".into()],
        git_foreign: Vec::new(),
        git_pointers: Vec::new(),
        bare: Vec::new(),
        keystones: Vec::new(),
        temporary: vec!["/tmp".into()],
        closed: vec!["/home/me/.ssh".into(), "/run/docker.sock".into()],
        own_folders: vec!["/home/me/.skein".into()],
    }
}

fn with(permissions: Permissions, surroundings: &Surroundings) -> Profile {
    let settings =
        SessionSettings { permissions: Some(permissions), ..settings(SandboxMode::WorkspaceWrite) };
    resolve(&settings, surroundings)
}

#[test]
fn each_mode_means_what_it_says() {
    let cases = [
        ("/repo/src/a.rs", Access::Read, Access::Write),
        ("/repo/.git/config", Access::Read, Access::Read),
        ("/repo/.skein/x", Access::Read, Access::Read),
        ("/repo/.github/x", Access::Read, Access::Write),
        ("/data/x", Access::Read, Access::Write),
        ("/data/.git", Access::Read, Access::Read),
        ("/main/.git/hooks", Access::Read, Access::Read),
        ("/tmp/x", Access::Read, Access::Write),
        ("/etc/passwd", Access::Read, Access::Read),
        ("/home/me/.ssh/id_ed25519", Access::Hidden, Access::Hidden),
        ("/run/docker.sock", Access::Hidden, Access::Hidden),
        ("/home/me/.skein/state/skein.db", Access::Hidden, Access::Hidden),
    ];
    let read_only = resolve(&settings(SandboxMode::ReadOnly), &surroundings());
    let workspace = resolve(&settings(SandboxMode::WorkspaceWrite), &surroundings());
    let danger = resolve(&settings(SandboxMode::DangerFullAccess), &surroundings());
    for (path, in_read_only, in_workspace) in cases {
        let path = Path::new(path);
        assert_eq!(read_only.access(path), in_read_only, "read-only {path:?}");
        assert_eq!(workspace.access(path), in_workspace, "workspace-write {path:?}");
        assert_eq!(danger.access(path), Access::Write, "danger {path:?}");
    }
}

#[test]
fn the_network_is_open_only_where_it_was_allowed() {
    let mut open = settings(SandboxMode::WorkspaceWrite);
    open.network = NetworkAccess::Full;
    assert_eq!(resolve(&open, &surroundings()).network, NetworkAccess::Full);
    open.sandbox = SandboxMode::ReadOnly;
    assert_eq!(resolve(&open, &surroundings()).network, NetworkAccess::Off);
    open.permissions = Some(Permissions::default());
    assert_eq!(resolve(&open, &surroundings()).network, NetworkAccess::Full, "a profile says so");
}

#[test]
fn what_a_person_says_of_a_path_holds_but_for_the_daemon_s_own() {
    let rules = [
        ("/repo/a", Access::Hidden),
        ("/repo/a/b", Access::Write),
        ("/repo/a/b/c", Access::Read),
        ("/repo/.vscode", Access::Write),
        ("/home/me", Access::Write),
        ("/home/me/.ssh/known_hosts", Access::Read),
        ("/home/me/.skein/state", Access::Write),
    ];
    let profile = with(
        Permissions {
            paths: rules.map(|(path, access)| rule(Path::new(path), access)).into(),
            globs: vec![
                GlobRule { pattern: "**/.env".into(), access: Access::Hidden, except: Vec::new() },
                GlobRule { pattern: "/repo/**/*.key".into(), access: Access::Hidden, except: Vec::new() },
            ],
            unix_sockets: vec!["/run/me.sock".into(), "/home/me/.skein/s".into()],
            has_own_tmp: true,
            ..Permissions::default()
        },
        &surroundings(),
    );
    for (path, expected) in [
        ("/repo/a/x", Access::Hidden),
        ("/repo/a/b/x", Access::Write),
        ("/repo/a/b/c/x", Access::Read),
        ("/repo/.vscode/x", Access::Write),
        ("/repo/.git/config", Access::Read),
        ("/home/me/x", Access::Write),
        ("/home/me/.ssh/id", Access::Hidden),
        ("/home/me/.ssh/known_hosts", Access::Read),
        ("/home/me/.skein/state/skein.db", Access::Hidden),
        ("/repo/src/deep/.env", Access::Hidden),
        ("/repo/.env", Access::Hidden),
        ("/repo/.envrc", Access::Write),
        ("/data/deep/.env", Access::Hidden),
        ("/repo/a/b/x.key", Access::Hidden),
        ("/data/x.key", Access::Write),
        ("/etc/.env", Access::Read),
    ] {
        assert_eq!(profile.access(Path::new(path)), expected, "{path}");
    }
    assert_eq!(profile.unix_sockets, [PathBuf::from("/run/me.sock")]);
    assert!(profile.has_own_tmp);
}

/// Threat R20.
#[test]
fn strict_closes_what_runs_later_and_leaves_the_rest() {
    let strict = |paths| {
        let permissions = Permissions { is_strict: true, paths, ..Permissions::default() };
        with(permissions, &Surroundings { opened: vec!["/srv".into()], ..surroundings() })
    };
    let profile = strict(vec![rule(Path::new("/srv"), Access::Write)]);
    assert!(profile.is_making_refused);
    for (path, expected) in [
        ("/repo/Makefile", Access::Read),
        ("/repo/web/package.json", Access::Read),
        ("/repo/web/node_modules/x/package.json", Access::Write),
        ("/repo/crates/a/build.rs", Access::Read),
        ("/repo/.envrc", Access::Read),
        ("/repo/a/.vscode/tasks.json", Access::Read),
        ("/repo/.husky/pre-commit", Access::Read),
        ("/repo/.github/workflows/ci.yml", Access::Read),
        ("/repo/.github/CODEOWNERS", Access::Write),
        ("/repo/.git/config", Access::Read),
        ("/repo/sub/.git/config", Access::Read),
        ("/repo/src/lib.rs", Access::Write),
        ("/data/x/Makefile", Access::Read),
        ("/srv/a/Makefile", Access::Read),
        ("/srv/a/x", Access::Write),
        ("/tmp/Makefile", Access::Write),
    ] {
        assert_eq!(profile.access(Path::new(path)), expected, "{path}");
    }
    // A person can't open by a path what a pattern closes; a folder that stands by its path they can.
    let opened = strict(vec![rule(Path::new("/repo/.github/workflows"), Access::Write)]);
    assert_eq!(opened.access(Path::new("/repo/.github/workflows/ci.yml")), Access::Write);
    assert!(!with(Permissions::default(), &surroundings()).is_making_refused);
}

#[test]
fn that_something_hidden_was_to_be_read_is_told_where_a_person_has_hidden_something() {
    let path =
        |access| Permissions { paths: vec![rule(Path::new("/data"), access)], ..Permissions::default() };
    let glob = |access| Permissions {
        globs: vec![GlobRule { pattern: "**/.env".into(), access, except: Vec::new() }],
        ..Permissions::default()
    };
    for (permissions, expected) in [
        (Permissions::default(), false),
        (path(Access::Read), false),
        (path(Access::Hidden), true),
        (glob(Access::Read), false),
        (glob(Access::Hidden), true),
    ] {
        assert_eq!(with(permissions.clone(), &surroundings()).is_reading_told, expected, "{permissions:?}");
    }
}

#[test]
fn commits_open_neither_hooks_nor_configuration() {
    let surroundings = Surroundings {
        git_directories: vec!["/main/.git".into(), "/main/.git/worktrees/tree".into()],
        git_foreign: vec!["/victim/.git".into()],
        git_pointers: vec!["/repo/.git".into()],
        ..surroundings()
    };
    let profile = with(Permissions { is_commit_allowed: true, ..Permissions::default() }, &surroundings);
    for (path, expected) in [
        ("/repo/.git", Access::Read),
        ("/victim/.git/HEAD", Access::Read),
        ("/main/.git/index.lock", Access::Write),
        ("/main/.git/objects/aa/bb", Access::Write),
        ("/main/.git/refs/heads/main", Access::Write),
        ("/main/.git/hooks/pre-commit", Access::Read),
        ("/main/.git/config", Access::Read),
        ("/main/.git/config.worktree", Access::Read),
        ("/main/.git/commondir", Access::Read),
        ("/main/.git/modules/sub/config", Access::Read),
        ("/main/.git/info/attributes", Access::Read),
        ("/main/.git/worktrees/other/gitdir", Access::Read),
        ("/main/.git/worktrees/tree/HEAD", Access::Write),
        ("/main/.git/worktrees/tree/commondir", Access::Read),
        ("/main/.git/worktrees/tree/gitdir", Access::Read),
    ] {
        assert_eq!(profile.access(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn what_a_person_opens_by_its_path_is_protected_as_the_session_s_own_folders_are() {
    let surroundings = Surroundings {
        opened: vec!["/srv/other".into(), "/srv/granted".into(), "/srv/bare".into()],
        git_directories: vec!["/srv/other/.git".into(), "/srv/other/deep/.git".into()],
        bare: vec!["/srv/bare".into()],
        keystones: vec!["/srv/granted/HEAD".into()],
        ..surroundings()
    };
    let opened = ["/srv/other", "/srv/other/.vscode", "/srv/granted", "/srv/bare"];
    let permissions = |is_commit_allowed| Permissions {
        paths: opened.map(|path| rule(Path::new(path), Access::Write)).into(),
        is_commit_allowed,
        ..Permissions::default()
    };
    for sandbox in [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite] {
        for (is_commit_allowed, in_git) in [(false, Access::Read), (true, Access::Write)] {
            let permissions = Some(permissions(is_commit_allowed));
            let settings = SessionSettings { permissions, ..settings(sandbox) };
            let profile = resolve(&settings, &surroundings);
            for (path, expected) in [
                ("/srv/other/x", Access::Write),
                ("/srv/other/.claude/settings.json", Access::Read),
                ("/srv/other/.vscode/tasks.json", Access::Write),
                ("/srv/other/.git/config", Access::Read),
                ("/srv/other/.git/index", in_git),
                ("/srv/other/deep/.git/hooks/pre-commit", Access::Read),
                ("/srv/granted/.git", Access::Read),
                ("/srv/granted/HEAD", Access::Read),
                ("/srv/granted/HEAD.md", Access::Write),
                ("/srv/bare/config", Access::Read),
                ("/srv/bare/refs/heads/main", Access::Write),
            ] {
                assert_eq!(
                    profile.access(Path::new(path)),
                    expected,
                    "{sandbox:?} {is_commit_allowed} {path}"
                );
            }
        }
    }
}

#[test]
fn what_is_protected_is_no_way_into_what_is_hidden() {
    let surroundings = Surroundings {
        git_directories: vec!["/repo/private/x/.git".into(), "/repo/.git".into()],
        ..surroundings()
    };
    for is_commit_allowed in [false, true] {
        let paths = vec![rule(Path::new("/repo/private"), Access::Hidden)];
        let profile = with(Permissions { paths, is_commit_allowed, ..Permissions::default() }, &surroundings);
        assert_eq!(profile.access(Path::new("/repo/private/x/.git/config")), Access::Hidden);
        assert_eq!(profile.access(Path::new("/repo/.git/config")), Access::Read);
    }
}

fn access() -> impl Strategy<Value = Access> {
    prop::sample::select(vec![Access::Hidden, Access::Read, Access::Write])
}

/// Paths over two names, at most five deep.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..5)
        .prop_map(|names| format!("/{}", names.join("/")))
}

/// Goes up from the path, folder by folder, and takes the first that a rule names.
fn slow(rules: &[(String, Access)], denied: &[(String, Access)], path: &str) -> Access {
    let mut above = Vec::new();
    let mut rest = path.to_owned();
    loop {
        above.push(if rest.is_empty() { "/".to_owned() } else { rest.clone() });
        match rest.rfind('/') {
            Some(at) if rest.len() > 1 => rest.truncate(at),
            Some(_) | None => break,
        }
    }
    let mut found = Access::Read;
    for folder in above.iter().rev() {
        for (known, access) in rules {
            if known == folder {
                found = *access;
            }
        }
    }
    for (name, access) in denied {
        if above.iter().any(|folder| folder.ends_with(&format!("/{name}"))) && *access < found {
            found = *access;
        }
    }
    found
}

proptest! {
    #[test]
    fn matching_is_what_the_slow_model_says(
        rules in prop::collection::vec((path(), access()), 0..8),
        denied in prop::collection::vec((prop::sample::select(vec!["a".to_owned(), "b".to_owned()]), access()), 0..2),
        path in path(),
    ) {
        let paths = rules.iter().map(|(path, access)| rule(Path::new(path), *access)).collect();
        let mut profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
        profile.globs = denied
            .iter()
            .map(|(name, access)| GlobRule { pattern: format!("/**/{name}"), access: *access, except: Vec::new() })
            .collect();
        prop_assert_eq!(profile.access(Path::new(&path)), slow(&rules, &denied, &path));
    }
}
