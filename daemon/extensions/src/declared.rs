//! All that a folder declares: hooks, files of rules, MCP servers, skills, and that it is a project which language
//! servers can work on. Nothing here believes any of it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use protocol::trust::DeclarationKind;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::files;
use crate::hooks::{self, Hook};
use crate::servers::{self, DeclaredServer};
use crate::skills::{self, Beside, Found, Skill, SkillProblem};

/// Where hooks stand in a folder: Skein's own file, and those of other programs that have the same shape.
const HOOK_FILES: [&str; 4] =
    [".skein/hooks.json", ".claude/settings.json", ".claude/settings.local.json", ".codex/hooks.json"];
/// Where rules stand.
const RULES_FOLDER: &str = ".skein/rules";

/// Where MCP servers stand.
const SERVERS_FILE: &str = ".mcp.json";

/// Where skills stand: Skein's own folder, the one that agents share, and those of other agents.
const SKILL_FOLDERS: [&str; 4] = [".skein/skills", ".agents/skills", ".claude/skills", ".codex/skills"];

/// Files that tell a project which language servers can work on. They read what its build says, and run it.
const PROJECT_FILES: [&str; 25] = [
    "Cargo.toml",
    "rust-project.json",
    "package.json",
    "tsconfig.json",
    "jsconfig.json",
    "deno.json",
    "pyproject.toml",
    "pyrightconfig.json",
    "setup.py",
    "requirements.txt",
    "go.mod",
    "go.work",
    "compile_commands.json",
    "compile_flags.txt",
    ".clangd",
    "CMakeLists.txt",
    "meson.build",
    "Makefile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "Gemfile",
    "composer.json",
    "build.zig",
    "mix.exs",
];
/// What a person lets happen who lets language servers work on a folder.
const LANGUAGE_SERVERS: &str = "Programs such as rust-analyzer look for errors after an edit. They may run what the build of this folder says, \
     such as build scripts, macros and plugins: in a sandbox that changes nothing here and has no network";

/// A larger file is not used.
const MAX_BYTES: u64 = 256 * 1024;
/// A larger file that a hook names can't be told apart from another one, so the hook is not used.
const MAX_NAMED_BYTES: u64 = 16 * 1024 * 1024;
/// So many bytes of such files are looked at in all, for one folder.
const MAX_NAMED_IN_ALL: u64 = 64 * 1024 * 1024;
/// More files of rules are not used.
const MAX_FILES: usize = 100;

/// What a folder declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// All that could be used.
    pub declarations: Vec<Declaration>,
    /// What can't be, and why, for a person.
    pub problems: Vec<String>,
    /// Those of them that are about skills.
    pub skill_problems: Vec<SkillProblem>,
}

/// One thing that would be run or obeyed.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// The file that it stands in, from the root.
    pub file: PathBuf,
    /// What it is called there.
    pub name: String,
    /// What it says.
    pub content: Content,
    /// Files that it names, from the root where they are below it.
    pub files: Vec<PathBuf>,
    /// Of all that matters about it, what it names included.
    pub hash: String,
}

/// What a declaration says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A hook.
    Hook(Hook),
    /// The text of a file of rules.
    Rules(String),
    /// An MCP server.
    McpServer(Box<DeclaredServer>),
    /// Instructions for a particular task.
    Skill(Box<DeclaredSkill>),
    /// A project that language servers can work on.
    LanguageServers,
}

/// A skill of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredSkill {
    /// What it says.
    pub skill: Skill,
    /// The whole of its file, for a person.
    pub whole: String,
}

impl Declaration {
    /// What it is, as the wire has it.
    #[must_use]
    pub fn kind(&self) -> DeclarationKind {
        match &self.content {
            Content::Hook(_) => DeclarationKind::Hook,
            Content::Rules(_) => DeclarationKind::Rules,
            Content::McpServer(_) => DeclarationKind::McpServer,
            Content::Skill(_) => DeclarationKind::Skill,
            Content::LanguageServers => DeclarationKind::LanguageServers,
        }
    }

    /// What it says, for a person.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.content {
            Content::Hook(hook) => &hook.command,
            Content::Rules(text) => text,
            Content::McpServer(server) => &server.text,
            Content::Skill(skill) => &skill.whole,
            Content::LanguageServers => LANGUAGE_SERVERS,
        }
    }
}

/// Reads all that the folder with this real path declares.
#[must_use]
pub fn read(root: &Path) -> Declared {
    let mut declared = Declared::default();
    let mut room = MAX_NAMED_IN_ALL;
    for file in HOOK_FILES {
        let Some(text) = text(root, Path::new(file), &mut declared.problems) else { continue };
        let (hooks, problems) = hooks::read(&text);
        declared.problems.extend(problems.into_iter().map(|problem| format!("`{file}`: {problem}")));
        for hook in hooks {
            match hook_declaration(root, file, hook, &mut room) {
                Ok(declaration) => declared.declarations.push(declaration),
                Err(problem) => declared.problems.push(format!("`{file}`: {problem}")),
            }
        }
    }
    rules(root, &mut declared);
    servers(root, &mut declared, &mut room);
    skills(root, &mut declared, &mut room);
    declared.declarations.extend(language_servers(root));
    declared
}

/// The files and folders whose change can change what the folder declares; what hooks name is not among them.
#[must_use]
pub fn places(root: &Path) -> Vec<PathBuf> {
    let rules = root.join(RULES_FOLDER);
    let mut places: Vec<PathBuf> = HOOK_FILES.iter().map(|file| root.join(file)).collect();
    places.extend(rule_files(&rules).unwrap_or_default());
    places.push(rules);
    places.push(root.join(SERVERS_FILE));
    for folder in SKILL_FOLDERS {
        let folder = root.join(folder);
        for found in skills::find(&folder, Some(root)).0 {
            let beside = Beside::of(&found.folder).unwrap_or_default();
            places.extend(beside.files);
            places.extend(beside.folders);
        }
        places.push(folder);
    }
    places
}

/// The hash of a hook of this folder as it would run now.
///
/// # Errors
/// When a file that it names can't be read as a whole.
pub fn hook_hash(root: &Path, file: &Path, hook: &Hook) -> io::Result<String> {
    let mut room = MAX_NAMED_IN_ALL;
    hashed_hook(root, file, hook, &mut room).map(|(hash, _)| hash)
}

fn hook_declaration(root: &Path, file: &str, hook: Hook, room: &mut u64) -> Result<Declaration, String> {
    let hashed = hashed_hook(root, Path::new(file), &hook, room);
    let (hash, files) = hashed
        .map_err(|error| format!("A file that the hook `{}` names can't be used: {error}", hook.command))?;
    let name = hook.event.as_str().to_owned();
    Ok(Declaration { file: file.into(), name, content: Content::Hook(hook), files, hash })
}

fn hashed_hook(root: &Path, file: &Path, hook: &Hook, room: &mut u64) -> io::Result<(String, Vec<PathBuf>)> {
    let mut hash = Hash::new("hook", file);
    hash.add(hook.identity().as_bytes());
    hash.add_named(root, &[&hook.command], room).map(|files| (hash.finish(), files))
}

fn rules(root: &Path, declared: &mut Declared) {
    let folder = root.join(RULES_FOLDER);
    let files = match rule_files(&folder) {
        Ok(files) => files,
        Err(error) => {
            declared.problems.push(format!("`{RULES_FOLDER}`: {error}"));
            return;
        }
    };
    for path in files {
        let file = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let Some(text) = text(root, &file, &mut declared.problems) else { continue };
        let mut hash = Hash::new("rules", &file);
        hash.add(text.as_bytes());
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        declared.declarations.push(Declaration {
            file,
            name,
            content: Content::Rules(text),
            files: Vec::new(),
            hash: hash.finish(),
        });
    }
}

fn servers(root: &Path, declared: &mut Declared, room: &mut u64) {
    let Some(text) = text(root, Path::new(SERVERS_FILE), &mut declared.problems) else { return };
    let (servers, problems) = servers::read(root, &text);
    declared.problems.extend(problems.into_iter().map(|problem| format!("`{SERVERS_FILE}`: {problem}")));
    for server in servers {
        match hashed_server(root, &server, room) {
            Ok((hash, files)) => declared.declarations.push(Declaration {
                file: SERVERS_FILE.into(),
                name: server.name.clone(),
                content: Content::McpServer(Box::new(server)),
                files,
                hash,
            }),
            Err(error) => {
                let name = &server.name;
                let problem = format!("A file that the server `{name}` names can't be used: {error}");
                declared.problems.push(format!("`{SERVERS_FILE}`: {problem}"));
            }
        }
    }
}

fn skills(root: &Path, declared: &mut Declared, room: &mut u64) {
    for folder in SKILL_FOLDERS {
        let (found, mut problems) = skills::find(&root.join(folder), Some(root));
        let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        for found in found {
            match skill_declaration(root, &found, room) {
                Ok(declaration) => declared.declarations.push(declaration),
                Err(error) => {
                    let message = format!("The skill can't be used: {error}");
                    problems.push(SkillProblem { path: found.folder, line: None, message });
                }
            }
        }
        declared.problems.extend(problems.iter().map(|problem| {
            let line = problem.line.map(|line| format!(", line {line}")).unwrap_or_default();
            format!("`{}`{line}: {}", below(&problem.path), problem.message)
        }));
        declared.skill_problems.extend(problems);
    }
}

/// All files in the folder of a skill count: what it says is to be run or read lies there.
fn skill_declaration(root: &Path, found: &Found, room: &mut u64) -> io::Result<Declaration> {
    let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_owned();
    let file = below(&found.folder.join("SKILL.md"));
    let mut hash = Hash::new("skill", &file);
    hash.add(found.whole.as_bytes());
    let mut files = Vec::new();
    for path in Beside::of(&found.folder)?.files {
        let named = below(&path);
        if named == file {
            continue;
        }
        hash.add(named.as_os_str().as_encoded_bytes());
        let real = files::inside(root, &path)?.ok_or_else(|| io::Error::other("a link leads nowhere"))?;
        let bytes = files::read(&real, MAX_NAMED_BYTES.min(*room))?;
        *room -= bytes.len() as u64;
        hash.add(&bytes);
        files.push(named);
    }
    let (skill, whole) = (found.skill.clone(), found.whole.clone());
    Ok(Declaration {
        name: skill.name.clone(),
        file,
        content: Content::Skill(Box::new(DeclaredSkill { skill, whole })),
        files,
        hash: hash.finish(),
    })
}

/// Whoever lets language servers work on a folder lets them work on it as it changes: what is in it is changed all the
/// time, so only the folder itself counts, and the sandbox is what holds.
fn language_servers(root: &Path) -> Option<Declaration> {
    let is_file = |file: &&&str| root.join(file).symlink_metadata().is_ok();
    let file: &str = PROJECT_FILES.iter().find(is_file)?;
    Some(Declaration {
        file: file.into(),
        name: "language servers".to_owned(),
        content: Content::LanguageServers,
        files: Vec::new(),
        hash: Hash::new("language servers", Path::new("")).finish(),
    })
}

/// The hash of an MCP server of this folder as it would be started now.
///
/// # Errors
/// When a file that it names can't be read as a whole.
pub fn server_hash(root: &Path, server: &DeclaredServer) -> io::Result<String> {
    let mut room = MAX_NAMED_IN_ALL;
    hashed_server(root, server, &mut room).map(|(hash, _)| hash)
}

fn hashed_server(root: &Path, server: &DeclaredServer, room: &mut u64) -> io::Result<(String, Vec<PathBuf>)> {
    let mut hash = Hash::new("mcp", Path::new(SERVERS_FILE));
    hash.add(server.name.as_bytes());
    hash.add(server.text.as_bytes());
    // As it is written a name may have signs in it that it does not have.
    let entry = serde_json::from_str(&server.text).unwrap_or_default();
    let mut parts = Vec::new();
    texts(&entry, &mut parts);
    hash.add_named(root, &parts, room).map(|files| (hash.finish(), files))
}

/// All texts of a value, in their order.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(entries) => entries.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The files with rules, by their names.
fn rule_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rules")) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!("there are more than {MAX_FILES} files with rules")));
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file of the folder; `None` if there is none, or what is wrong is told.
fn text(root: &Path, file: &Path, problems: &mut Vec<String>) -> Option<String> {
    let read = || -> io::Result<Option<String>> {
        let Some(real) = files::inside(root, &root.join(file))? else { return Ok(None) };
        let bytes = files::read(&real, MAX_BYTES)?;
        String::from_utf8(bytes).map(Some).map_err(|_| io::Error::other("it is not UTF-8"))
    };
    read().unwrap_or_else(|error| {
        problems.push(format!("`{}`: {error}", file.display()));
        None
    })
}

/// A hash of parts, each with its length, so that no two lists of parts have one.
struct Hash(Sha256);

impl Hash {
    fn new(kind: &str, file: &Path) -> Self {
        let mut hash = Self(Sha256::new());
        hash.add(kind.as_bytes());
        hash.add(file.as_os_str().as_encoded_bytes());
        hash
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Adds the files that these parts of a command name, and says which they are, from the root where they are below it.
    fn add_named(&mut self, root: &Path, parts: &[&str], room: &mut u64) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in hooks::named_files(root, parts)? {
            self.add(path.as_os_str().as_encoded_bytes());
            let bytes = files::read(&path, MAX_NAMED_BYTES.min(*room))?;
            *room -= bytes.len() as u64;
            self.add(&bytes);
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
        Ok(files)
    }

    fn finish(self) -> String {
        format!("{:x}", self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn scratch(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real").join("repo");
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("write");
        }
        (scratch, root)
    }

    const HOOK: &str = r#"{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [
        {"type": "command", "command": "sh ./check.sh --all"}]}]}}"#;

    #[test]
    fn hooks_and_rules_are_found_wherever_they_may_stand() {
        let (_scratch, root) = scratch(&[
            (".skein/hooks.json", HOOK),
            (".claude/settings.json", HOOK),
            (".codex/hooks.json", HOOK),
            (".skein/rules/b.rules", "# b"),
            (".skein/rules/a.rules", "# a"),
            (".skein/rules/readme.md", "no rules"),
        ]);
        let declared = read(&root);
        assert_eq!(declared.problems, [""; 0]);
        let found: Vec<_> =
            declared.declarations.iter().map(|one| (one.file.to_str().expect("text"), one.text())).collect();
        let command = "sh ./check.sh --all";
        assert_eq!(
            found,
            [
                (".skein/hooks.json", command),
                (".claude/settings.json", command),
                (".codex/hooks.json", command),
                (".skein/rules/a.rules", "# a"),
                (".skein/rules/b.rules", "# b"),
            ]
        );
        let mut hashes: Vec<_> = declared.declarations.iter().map(|one| &one.hash).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 5, "the same command in another file is another declaration");
    }

    #[test]
    fn what_a_hook_names_counts_for_its_hash() {
        let (_scratch, root) = scratch(&[(".skein/hooks.json", HOOK), ("check.sh", "exit 0")]);
        let hash = || read(&root).declarations[0].hash.clone();
        let first = hash();
        assert_eq!(read(&root).declarations[0].files, [PathBuf::from("check.sh")]);
        fs::write(root.join("check.sh"), "exit 1").expect("write");
        assert_ne!(hash(), first);
        fs::write(root.join("check.sh"), "exit 0").expect("write");
        assert_eq!(hash(), first);
        fs::write(root.join(".skein/hooks.json"), HOOK.replace("Bash", "Bash|Edit")).expect("write");
        assert_ne!(hash(), first);
    }

    #[test]
    fn all_that_lies_in_the_folder_of_a_skill_counts_for_its_hash() {
        let text = "---\nname: notes\ndescription: Writes notes.\n---\nRun scripts/a.sh\n";
        let (_scratch, root) = scratch(&[
            (".claude/skills/notes/SKILL.md", text),
            (".claude/skills/notes/scripts/a.sh", "exit 0"),
        ]);
        let one = || read(&root).declarations.into_iter().next().expect("a skill");
        let first = one();
        assert_eq!(
            (first.name.as_str(), first.text(), first.kind()),
            ("notes", text, DeclarationKind::Skill)
        );
        assert_eq!(first.files, [PathBuf::from(".claude/skills/notes/scripts/a.sh")]);
        let script = root.join(".claude/skills/notes/scripts/a.sh");
        assert!(places(&root).contains(&script));
        fs::write(&script, "exit 1").expect("write");
        assert_ne!(one().hash, first.hash);
        fs::write(&script, "exit 0").expect("write");
        assert_eq!(one().hash, first.hash);
        fs::write(root.join(".claude/skills/notes/more"), "").expect("write");
        assert_ne!(one().hash, first.hash);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_hostile_is_told_and_not_read() {
        let (scratch, root) = scratch(&[(".skein/rules/a.rules", "# a"), (".claude/settings.json", "{")]);
        fs::write(scratch.path().join("secret"), HOOK).expect("write");
        rustix::fs::symlink(scratch.path().join("secret"), root.join(".skein/hooks.json")).expect("link");
        fs::create_dir(root.join(".codex")).expect("folder");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let pipe = root.join(".codex/hooks.json");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("pipe");
        fs::write(root.join(".skein/rules/b.rules"), [0xff]).expect("write");
        let declared = read(&root);
        assert_eq!(declared.declarations.len(), 1);
        let problems = declared.problems.join("\n");
        for part in ["outside of the folder", "not JSON", "not a regular file", "not UTF-8"] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
    }
}
