//! Descriptions of permissions, read as users write them.

use std::fs;

use protocol::error::ConfigurationProblem;
use protocol::session::{SettingOverride, SettingsOverrides};

use super::*;
use crate::{Loaded, load};

fn with(text: &str, overrides: &SettingsOverrides) -> Result<Loaded, Vec<ConfigurationProblem>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    load(&file, overrides)
}

/// The permissions `p` of a file in which nothing is wrong, for a folder.
fn resolved(text: &str, cwd: &str) -> (PermissionProfile, Permissions) {
    let overrides = SettingsOverrides { permissions: Some("p".to_owned()), ..SettingsOverrides::default() };
    let loaded = with(text, &overrides).unwrap();
    assert_eq!(loaded.warnings, []);
    let profile = loaded.settings.permissions.unwrap();
    let permissions = profile.resolve(Path::new(cwd), Some(Path::new("/home/me"))).unwrap();
    (profile, permissions)
}

/// Errors or warnings as `line:column: message (suggestion)`.
fn problems(text: &str, overrides: &SettingsOverrides) -> Vec<String> {
    let problems = match with(text, overrides) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors,
    };
    let shown = |problem: &ConfigurationProblem| {
        let meant = problem.suggestion.as_ref().map(|meant| format!(" ({meant})")).unwrap_or_default();
        let place = problem.line.zip(problem.column).map(|(line, column)| format!("{line}:{column}: "));
        format!("{}{}{meant}", place.unwrap_or_default(), problem.message)
    };
    problems.iter().map(shown).collect()
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [permissions.p]
        network = "rules"
        unix_sockets = ["/run/x/./sock"]
        git_commit = true
        own_tmp = true
        [permissions.p.paths]
        "." = "read"
        "target/" = "write"
        "/srv" = "none"
        "~/notes" = "write"
        "**/.env" = "none"
        "/etc/*.key" = "none"
        "~/.x/*" = "read"
        [permissions.p.hosts]
        "Example.COM." = "allow"
        "*.example.com:443" = "prompt"
        "[::1]:80" = "deny"
        "*" = "deny"
        [permissions.p.environment]
        inherit = "core"
        include = ["PATH"]
        exclude = ["A*"]
        [permissions.p.limits]
        max_processes = 64
        max_memory = "512 MiB"
        max_file_size = 1000
    "#;
    let (profile, permissions) = resolved(text, "/repo");
    assert_eq!((profile.base, profile.network), (SandboxMode::WorkspaceWrite, Some(NetworkAccess::Rules)));
    let environment = profile.environment.clone().unwrap();
    assert_eq!(environment.inherit, Inherited::Core);
    assert_eq!((environment.include_only, environment.exclude), (vec!["PATH".into()], vec!["A*".into()]));
    let path = |path: &str, access| PathRule { path: path.into(), access };
    let glob = |pattern: &str, access| GlobRule { pattern: pattern.into(), access, except: Vec::new() };
    let host = |host: &str, port, decision| NetworkRule { host: host.into(), port, protocol: None, decision };
    let expected = Permissions {
        name: "p".to_owned(),
        paths: vec![
            path("/repo", Access::Read),
            path("/srv", Access::Hidden),
            path("/repo/target", Access::Write),
            path("/home/me/notes", Access::Write),
        ],
        globs: vec![
            glob("**/.env", Access::Hidden),
            glob("/etc/*.key", Access::Hidden),
            glob("/home/me/.x/*", Access::Read),
        ],
        network_rules: vec![
            host("*", None, NetworkDecision::Deny),
            host("*.example.com", Some(443), NetworkDecision::Prompt),
            host("example.com", None, NetworkDecision::Allow),
            host("::1", Some(80), NetworkDecision::Deny),
        ],
        unix_sockets: vec!["/run/x/sock".into()],
        limits: ResourceLimits {
            max_processes: Some(64),
            max_memory_bytes: Some(512 << 20),
            max_file_bytes: Some(1000),
        },
        is_commit_allowed: true,
        has_own_tmp: true,
        is_strict: false,
        environment: profile.environment,
    };
    assert_eq!(
        Permissions {
            paths: sorted(permissions.paths),
            globs: sorted_globs(permissions.globs),
            ..permissions
        },
        Permissions { paths: sorted(expected.paths), globs: sorted_globs(expected.globs), ..expected }
    );
}

#[test]
fn strict_is_there_without_being_described() {
    let profiles = [
        ("default_permissions = 'strict'\n", SandboxMode::WorkspaceWrite),
        (
            "default_permissions = 'p'\n[permissions.p]\nextends = 'q'\n[permissions.q]\nextends = 'strict'\n",
            SandboxMode::WorkspaceWrite,
        ),
    ];
    for (text, base) in profiles {
        let loaded = with(text, &SettingsOverrides::default()).unwrap();
        let profile = loaded.settings.permissions.expect("permissions");
        assert_eq!(profile.base, base, "{text}");
        assert!(profile.resolve(Path::new("/repo"), None).expect("no home is named").is_strict, "{text}");
    }
}

#[test]
fn strict_is_there_without_any_settings() {
    let wanted = SettingsOverrides { permissions: Some("strict".to_owned()), ..SettingsOverrides::default() };
    let loaded = crate::load(Path::new("/nowhere/config.toml"), &wanted).unwrap();
    assert_eq!(loaded.settings.permissions.expect("permissions").name, "strict");
}

fn sorted(mut rules: Vec<PathRule>) -> Vec<PathRule> {
    rules.sort_by(|left, right| left.path.cmp(&right.path));
    rules
}

fn sorted_globs(mut rules: Vec<GlobRule>) -> Vec<GlobRule> {
    rules.sort_by(|left, right| left.pattern.cmp(&right.pattern));
    rules
}

#[test]
fn what_is_extended_holds_until_it_is_said_otherwise() {
    // The extended ones stand behind, so order in the file does not matter.
    let text = r#"
        [permissions.p]
        extends = "middle"
        paths = { "a" = "write", "c" = "none" }
        git_commit = false
        [permissions.middle]
        extends = "low"
        paths = { "a" = "none", "b" = "read" }
        limits.max_processes = 3
        [permissions.low]
        extends = "read-only"
        git_commit = true
        own_tmp = true
    "#;
    let (profile, permissions) = resolved(text, "/r");
    assert_eq!((profile.base, profile.network), (SandboxMode::ReadOnly, Some(NetworkAccess::Off)));
    let paths: Vec<_> =
        permissions.paths.iter().map(|rule| (rule.path.to_str().unwrap(), rule.access)).collect();
    assert_eq!(paths, [("/r/a", Access::Write), ("/r/b", Access::Read), ("/r/c", Access::Hidden)]);
    assert!(permissions.has_own_tmp && !permissions.is_commit_allowed);
    assert_eq!(permissions.limits.max_processes, Some(3));
}

#[test]
fn a_folder_with_the_signs_of_a_pattern_is_taken_as_it_is() {
    for cwd in ["/a[1]/{b,c}", "/*", "/!x\\y", "/a?b", "/"] {
        let (_, permissions) = resolved("[permissions.p]\npaths = { './**/.env' = 'none' }\n", cwd);
        let glob = &permissions.globs[0];
        assert!(glob.matches(&Path::new(cwd).join("sub/.env")), "{cwd}: {glob:?}");
        assert!(cwd == "/" || !glob.matches(Path::new("/axb/other/.env")), "{cwd}: {glob:?}");
        assert!(!glob.matches(&Path::new(cwd).join("sub/env")), "{cwd}: {glob:?}");
    }
}

#[test]
fn a_home_that_is_not_known_opens_and_closes_nothing_in_silence() {
    let text = "default_permissions = 'p'\n[permissions.p]\npaths = { '~/.ssh' = 'none' }\n";
    let profile = with(text, &SettingsOverrides::default()).unwrap().settings.permissions.unwrap();
    assert_eq!(profile.resolve(Path::new("/r"), None), None);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (body, wanted) in [
        (
            "extends = 'othr'",
            "2:11: `permissions.p.extends` is `othr`, but there are no such permissions (other)",
        ),
        ("extends = 'workspace-writ'", "(workspace-write)"),
        ("extends = 'danger-full-access'", "can't be `danger-full-access`, in which nothing is enforced"),
        ("extends = 'p'", "2:11: `permissions.p.extends` leads in a circle"),
        ("extends = 1", "must be text"),
        ("paths = { 'a*' = 'write' }", "2:18: `permissions.p.paths.\"a*\"` is a pattern, and"),
        ("paths = { 'a[' = 'none' }", "is no pattern: unclosed character class"),
        ("paths = { '{a' = 'none' }", "is no pattern: unclosed brace"),
        ("paths = { 'a\\' = 'none' }", "is no pattern: trailing backslash"),
        ("paths = { '../a' = 'write' }", "must not contain `..`"),
        ("paths = { '~you/a' = 'write' }", "must begin with `~/`"),
        ("paths = { '' = 'write' }", "names no path"),
        ("paths = { 'a' = 'wirte' }", "is `wirte` (write)"),
        ("network = 'on'", "must be one of `off`, `rules`, `full`"),
        ("hosts = { 'a/b' = 'allow' }", "must be a host such as"),
        ("hosts = { 'a.b:0' = 'allow' }", "must be a host such as"),
        ("hosts = { 'a.*.b' = 'allow' }", "must be a host such as"),
        ("hosts = { 'a..b' = 'allow' }", "must be a host such as"),
        ("hosts = { '[::1' = 'allow' }", "must be a host such as"),
        ("hosts = { 'a' = 'forbid' }", "must be one of `allow`, `prompt`, `deny`"),
        ("unix_sockets = ['run/x']", "2:17: `permissions.p.unix_sockets` must hold absolute paths"),
        ("unix_sockets = ['/run/../x']", "must hold absolute paths"),
        ("limits.max_memory = '1 pound'", "must be a size such as `512MiB` or `2GB`, but is `1 pound`"),
        ("limits.max_memory = '99999999999TiB'", "must be a size"),
        ("limits.max_memory = '+1B'", "must be a size"),
        ("limits.max_processes = 0", "must be 1 or more"),
        ("git_commit = 'yes'", "must be `true` or `false`"),
        ("own_tpm = true", "2:1: `permissions.p.own_tpm` is not a known key and is ignored (own_tmp)"),
        ("hosts = { 'a' = 'allow' }\nnetwork = 'full'", "has no effect without `network = \"rules\"`"),
        ("paths = { '$HOME/x' = 'write' }", "variables are not replaced here; `~/` is the home"),
        ("sockets = ['/run/x']", "`permissions.p.sockets` is not a known key and is ignored (unix_sockets)"),
        ("hosts = { '127.1' = 'allow' }\nnetwork = 'rules'", "must be a host such as"),
    ] {
        let text = format!("[permissions.p]\n{body}\n[permissions.other]\n");
        let found = problems(&text, &SettingsOverrides::default());
        assert!(found.iter().any(|problem| problem.contains(wanted)), "{body}: {found:?}");
    }
    let circle = "[permissions.a]\nextends = 'b'\n[permissions.b]\nextends = 'a'\n[permissions.read-only]\n[permissions.strict]\n";
    assert_eq!(
        problems(circle, &SettingsOverrides::default()),
        [
            "2:11: `permissions.a.extends` leads in a circle",
            "4:11: `permissions.b.extends` leads in a circle",
            "5:14: `read-only` is built in and can't be described anew; choose another name",
            "6:14: `strict` is built in and can't be described anew; choose another name",
        ]
    );
}

#[test]
fn the_later_choice_holds() {
    let text = "default_permissions = 'p'\n[permissions.p]\nextends = 'read-only'\n[permissions.q]\n\
                [profiles.open]\nsandbox_mode = 'workspace-write'\n[profiles.other]\ndefault_permissions = 'q'\n";
    let value = |key: &str, value: &str| SettingOverride { key: key.into(), value: value.into() };
    let chosen = |values: Vec<SettingOverride>, sandbox, permissions: Option<&str>, profile: Option<&str>| {
        let permissions = permissions.map(str::to_owned);
        let profile = profile.map(str::to_owned);
        let overrides =
            SettingsOverrides { values, sandbox, permissions, profile, ..SettingsOverrides::default() };
        let loaded = with(text, &overrides).unwrap();
        let warnings = loaded.warnings.into_iter().map(|problem| problem.message).collect::<Vec<_>>();
        (loaded.settings.permissions.map(|profile| profile.name), loaded.settings.sandbox_mode, warnings)
    };
    let (read, write) = (SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite);
    let replaced = vec!["`sandbox_mode` is used in place of the permissions `p`".to_owned()];
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(chosen(vec![], None, None, None), (name("p"), read, vec![]));
    assert_eq!(chosen(vec![], Some(read), None, None), (None, read, replaced.clone()));
    assert_eq!(chosen(vec![], None, Some("q"), None), (name("q"), write, vec![]));
    assert_eq!(chosen(vec![], None, None, Some("open")), (None, write, replaced));
    assert_eq!(chosen(vec![], None, None, Some("other")), (name("q"), write, vec![]));
    assert_eq!(chosen(vec![], None, Some("p"), Some("open")), (name("p"), read, vec![]));
    let by_value = vec![value("sandbox_mode", "workspace-write"), value("default_permissions", "p")];
    assert_eq!(chosen(by_value, None, None, None), (name("p"), read, vec![]));
}

#[test]
fn a_choice_that_does_not_exist_is_an_error() {
    let overrides = SettingsOverrides { permissions: Some("carful".into()), ..SettingsOverrides::default() };
    let text = "[permissions.careful]\n";
    assert_eq!(
        problems(text, &overrides),
        ["There are no permissions `carful`, only `careful`, `strict` (careful)"]
    );
    let text = "default_permissions = 'x'\n[profiles.a]\n[profiles.b]\ndefault_permissions = 'y'\n";
    assert_eq!(
        problems(text, &SettingsOverrides::default()),
        [
            "1:23: There are no permissions `x`, only `strict`",
            "4:23: There are no permissions `y`, only `strict`"
        ]
    );
    for mode in ["read-only", "workspace-write", "danger-full-access"] {
        let overrides = SettingsOverrides { permissions: Some(mode.into()), ..SettingsOverrides::default() };
        let expected = format!("There are no permissions `{mode}`; `sandbox_mode` chooses that");
        assert_eq!(problems("", &overrides), [expected]);
    }
}

#[test]
fn an_override_can_not_describe_permissions() {
    let value = SettingOverride { key: "permissions.p.git_commit".into(), value: "true".into() };
    let overrides = SettingsOverrides { values: vec![value], ..SettingsOverrides::default() };
    let loaded = with("default_permissions = 'p'\n[permissions.p]\n", &overrides).unwrap();
    assert!(loaded.warnings[0].message.contains("can be set in `config.toml` only"), "{:?}", loaded.warnings);
    let permissions = loaded.settings.permissions.unwrap().resolve(Path::new("/r"), None).unwrap();
    assert!(!permissions.is_commit_allowed);
}
