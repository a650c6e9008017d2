//! `[permissions.<name>]`: what commands may touch, as a person describes it. Each description is settled on top of
//! the one that it extends; what is relative is resolved when a session's folder is known. Knows nothing of how it is
//! enforced.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use protocol::profile::{
    Access, EnvironmentPolicy, GlobRule, Inherited, NetworkAccess, NetworkDecision, NetworkRule, PathRule,
    Permissions, ResourceLimits, SandboxMode,
};

use crate::section::Section;
use crate::value::{Value, nearest};

/// What a description stands on if it extends no other one.
const BASES: [SandboxMode; 2] = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite];
/// What is described already.
const STRICT: &str = "strict";
/// No limit is larger; sums of them do not overflow.
const LARGEST: u64 = 1 << 60;

/// What `[permissions.<name>]` says, with all that it extends.
#[derive(Clone, Debug, PartialEq)]
pub struct PermissionProfile {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub base: SandboxMode,
    /// What of the network is open; absent: what the session's other settings say.
    pub network: Option<NetworkAccess>,
    /// What of the environment commands see; absent: what the session's other settings say.
    pub environment: Option<EnvironmentPolicy>,
    /// By path or pattern, as it was written.
    paths: BTreeMap<String, Access>,
    /// By host, as it was written.
    hosts: BTreeMap<String, NetworkRule>,
    unix_sockets: Vec<PathBuf>,
    limits: ResourceLimits,
    is_commit_allowed: bool,
    has_own_tmp: bool,
    is_strict: bool,
}

impl PermissionProfile {
    /// For a session in this folder, whose person has this home; both absolute. `None` if a path starts from the home
    /// and there is none.
    #[must_use]
    pub fn resolve(&self, cwd: &Path, home: Option<&Path>) -> Option<Permissions> {
        let mut paths = Vec::new();
        let mut globs = Vec::new();
        for (written, access) in &self.paths {
            let (folder, rest) = match written.strip_prefix('~') {
                Some(rest) => (home?, rest.trim_start_matches('/')),
                None => (cwd, written.as_str()),
            };
            if is_glob(written) {
                let is_anywhere = !written.starts_with('~') && rest.starts_with(['*', '?', '[', '{']);
                let pattern = if rest.starts_with('/') || is_anywhere {
                    rest.to_owned()
                } else {
                    GlobRule::pattern_below(folder, rest)
                };
                globs.push(GlobRule { pattern, access: *access, except: Vec::new() });
            } else {
                paths.push(PathRule { path: plain(&folder.join(rest)), access: *access });
            }
        }
        Some(Permissions {
            name: self.name.clone(),
            paths,
            globs,
            network_rules: self.hosts.values().cloned().collect(),
            unix_sockets: self.unix_sockets.clone(),
            limits: self.limits,
            is_commit_allowed: self.is_commit_allowed,
            has_own_tmp: self.has_own_tmp,
            is_strict: self.is_strict,
            environment: self.environment.clone(),
        })
    }

    fn new(base: SandboxMode) -> Self {
        Self {
            name: String::new(),
            base,
            network: (base == SandboxMode::ReadOnly).then_some(NetworkAccess::Off),
            environment: None,
            paths: BTreeMap::new(),
            hosts: BTreeMap::new(),
            unix_sockets: Vec::new(),
            limits: ResourceLimits::default(),
            is_commit_allowed: false,
            has_own_tmp: false,
            is_strict: false,
        }
    }

    /// What may be chosen without being described: `workspace-write`, in which files that something runs later may be
    /// neither changed nor made.
    fn strict() -> Self {
        Self { name: STRICT.to_owned(), is_strict: true, ..Self::new(SandboxMode::WorkspaceWrite) }
    }
}

/// What is there without being described.
pub(crate) fn built_in() -> BTreeMap<String, PermissionProfile> {
    let strict = PermissionProfile::strict();
    BTreeMap::from([(strict.name.clone(), strict)])
}

/// Reads all descriptions, each once.
pub(crate) fn read<'a>(entries: &[(&'a str, Value<'a>)]) -> BTreeMap<String, PermissionProfile> {
    let mut all = Vec::new();
    for (name, value) in entries {
        if *name == STRICT || is_mode(name) {
            let message = format!("`{name}` is built in and can't be described anew; choose another name");
            value.place().error(message, None);
        } else if let Some(mut section) = value.section() {
            let extends = section.get("extends");
            all.push(Described { name, extends, section });
        }
    }
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    let mut settled = built_in();
    // Each round settles those whose base is known; what is left in the end extends itself, or what does.
    loop {
        let mut left = Vec::new();
        let count = all.len();
        for mut described in all {
            let Some(mut profile) = base(&described, &names, &settled) else {
                left.push(described);
                continue;
            };
            described.name.clone_into(&mut profile.name);
            keys(&mut described.section, &mut profile);
            described.section.finish();
            settled.insert(profile.name.clone(), profile);
        }
        if left.len() == count {
            for described in left {
                if let Some(value) = described.extends {
                    value.refuse::<()>("leads in a circle", None);
                }
            }
            return settled;
        }
        all = left;
    }
}

/// Whether it is the name of a sandbox mode.
pub(crate) fn is_mode(name: &str) -> bool {
    BASES.iter().chain([&SandboxMode::DangerFullAccess]).any(|mode| mode.as_str() == name)
}

/// A description whose base may not be settled yet.
struct Described<'a> {
    name: &'a str,
    extends: Option<Value<'a>>,
    section: Section<'a>,
}

/// What it stands on. `None` if that is not settled yet; what is wrong is complained of and counts as the default.
fn base(
    described: &Described<'_>,
    names: &[&str],
    settled: &BTreeMap<String, PermissionProfile>,
) -> Option<PermissionProfile> {
    let plain = || Some(PermissionProfile::new(SandboxMode::WorkspaceWrite));
    let Some(value) = &described.extends else { return plain() };
    let Some(wanted) = value.text() else { return plain() };
    if let Some(mode) = BASES.into_iter().find(|mode| mode.as_str() == wanted) {
        return Some(PermissionProfile::new(mode));
    }
    if wanted == SandboxMode::DangerFullAccess.as_str() {
        value.refuse::<()>(&format!("can't be `{wanted}`, in which nothing is enforced"), None);
        return plain();
    }
    if let Some(profile) = settled.get(&wanted) {
        return Some(profile.clone());
    }
    if names.contains(&wanted.as_str()) {
        return None;
    }
    let meant = nearest(&wanted, names.iter().copied().chain(BASES.map(SandboxMode::as_str)).chain([STRICT]));
    value.refuse::<()>(&format!("is `{wanted}`, but there are no such permissions"), meant);
    plain()
}

fn keys(section: &mut Section<'_>, target: &mut PermissionProfile) {
    for (written, value) in section.entries("paths") {
        if let Some(access) = path_access(written, &value) {
            if written.starts_with('$') {
                let message =
                    "is taken as it stands, below the session's folder: variables are not replaced here";
                value.place().warn(format!("`{}` {message}; `~/` is the home", value.place().key()), None);
            }
            target.paths.insert(written.to_owned(), access);
        }
    }
    section.set("network", &mut target.network, |value| {
        let words =
            [("off", NetworkAccess::Off), ("rules", NetworkAccess::Rules), ("full", NetworkAccess::Full)];
        value.word(&words).map(Some)
    });
    if let Some(hosts) = section.get("hosts") {
        if target.network != Some(NetworkAccess::Rules) {
            let message = format!("`{}` has no effect without `network = \"rules\"`", hosts.place().key());
            hosts.place().warn(message, None);
        }
        for (written, value) in hosts.entries() {
            if let Some(rule) = host_rule(written, &value) {
                target.hosts.insert(written.to_owned(), rule);
            }
        }
    }
    section.set("unix_sockets", &mut target.unix_sockets, |value| value.list(socket));
    section.within("environment", |section| {
        let policy = target.environment.get_or_insert_default();
        section.set("inherit", &mut policy.inherit, |value| {
            value.word(&[("none", Inherited::None), ("core", Inherited::Core), ("all", Inherited::All)])
        });
        section.set("include", &mut policy.include_only, |value| value.list(Value::text));
        section.set("exclude", &mut policy.exclude, |value| value.list(Value::text));
    });
    section.within("limits", |section| {
        let limits = &mut target.limits;
        section.set("max_processes", &mut limits.max_processes, |value| value.whole(1..=LARGEST).map(Some));
        section.set("max_memory", &mut limits.max_memory_bytes, |value| size(value).map(Some));
        section.set("max_file_size", &mut limits.max_file_bytes, |value| size(value).map(Some));
    });
    section.set("git_commit", &mut target.is_commit_allowed, Value::boolean);
    section.set("own_tmp", &mut target.has_own_tmp, Value::boolean);
}

fn path_access(written: &str, value: &Value<'_>) -> Option<Access> {
    let words = [("write", Access::Write), ("read", Access::Read), ("none", Access::Hidden)];
    let access = value.word(&words)?;
    if written.is_empty() {
        return value.refuse("names no path", None);
    }
    if written.contains('\0') {
        return value.refuse("is no path", None);
    }
    if written.starts_with('~') && written != "~" && !written.starts_with("~/") {
        return value.refuse("must begin with `~/`; other people's folders are written out", None);
    }
    if written.split('/').any(|part| part == "..") {
        return value.refuse("must not contain `..`", None);
    }
    if !is_glob(written) {
        return Some(access);
    }
    if let Err(error) = fast_glob::validate(written) {
        return value.refuse(&format!("is no pattern: {error}"), None);
    }
    if access == Access::Write {
        return value.refuse("is a pattern, and a pattern can only take away; write `read` or `none`", None);
    }
    Some(access)
}

/// Whether a key of `paths` is a pattern. A backslash makes it one, so that every path can be written as a pattern.
fn is_glob(written: &str) -> bool {
    written.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Without the parts that mean nothing.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn socket(value: &Value<'_>) -> Option<PathBuf> {
    let text = value.text()?;
    let path = Path::new(&text);
    let is_plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    if is_plain {
        return Some(plain(path));
    }
    value.refuse(&format!("must hold absolute paths without `..`, but `{text}` is none"), None)
}

fn host_rule(written: &str, value: &Value<'_>) -> Option<NetworkRule> {
    let words = [
        ("allow", NetworkDecision::Allow),
        ("prompt", NetworkDecision::Prompt),
        ("deny", NetworkDecision::Deny),
    ];
    let decision = value.word(&words)?;
    let rule = NetworkRule::for_host(written, decision);
    if rule.is_none() {
        let message =
            "must be a host such as `example.com`, `*.example.com`, `example.com:443`, `[::1]:80` or `*`";
        return value.refuse(message, None);
    }
    rule
}

/// Bytes: a number of them, or text such as `512MiB`.
fn size(value: &Value<'_>) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    if !value.is_some_text() {
        return value.whole(1..=LARGEST);
    }
    let text = value.text()?;
    let found = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?.trim_end(), *bytes)));
    let bytes = found.and_then(|(number, unit)| {
        let is_plain = number.bytes().all(|digit| digit.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| is_plain)?.checked_mul(unit)
    });
    match bytes {
        Some(bytes) if (1..=LARGEST).contains(&bytes) => Some(bytes),
        Some(_) | None => {
            value.refuse(&format!("must be a size such as `512MiB` or `2GB`, but is `{text}`"), None)
        }
    }
}

#[cfg(test)]
mod tests;
