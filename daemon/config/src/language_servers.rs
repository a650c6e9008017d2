//! Language servers, which find errors in files that were changed: those that are known, and those that a person
//! describes in `[language_servers.<name>]`. Knows nothing of how they are spoken to.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use toml::de::DeValue;

use crate::hooks;
use crate::value::Value;

/// Whether errors are looked for after an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diagnostics {
    /// By the language servers that are found, in folders where a person trusts them.
    #[default]
    On,
    /// Not at all: no language server is started.
    Off,
}

/// A language server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageServer {
    /// A name in `PATH`, or an absolute path.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// A file that is found from the folder of the executable, if the program is a language server only where that is
    /// there.
    pub companion: Option<String>,
    /// Endings of the files that it is asked about, without the dot, each with the protocol's word for their language.
    pub languages: BTreeMap<String, String>,
    /// Names of files by which the folder that it works on is known: the outermost one that has one of them.
    pub roots: Vec<String>,
    /// What it is told when it asks for its settings, and when it is started.
    pub settings: Json,
    /// Whether it is used at all.
    pub is_enabled: bool,
    /// Whether a person described it; those go before the ones that are known.
    pub is_own: bool,
}

impl LanguageServer {
    /// Whether it is asked about a file of this name.
    #[must_use]
    pub fn language_of(&self, file: &Path) -> Option<&str> {
        let ending = file.extension()?.to_str()?;
        self.languages.get(ending).map(String::as_str)
    }

    fn new(command: &str, arguments: &[&str], languages: &[(&str, &str)], roots: &[&str]) -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            command: command.to_owned(),
            arguments: texts(arguments),
            companion: None,
            languages: languages
                .iter()
                .map(|(ending, word)| ((*ending).to_owned(), (*word).to_owned()))
                .collect(),
            roots: texts(roots),
            settings: Json::Null,
            is_enabled: true,
            is_own: false,
        }
    }
}

/// Those that are known, by their names.
pub(crate) fn known() -> BTreeMap<String, LanguageServer> {
    const PYTHON: [(&str, &str); 2] = [("py", "python"), ("pyi", "python")];
    const PYTHON_ROOTS: [&str; 4] = ["pyproject.toml", "pyrightconfig.json", "setup.py", "requirements.txt"];
    const SCRIPTS: [(&str, &str); 8] = [
        ("ts", "typescript"),
        ("mts", "typescript"),
        ("cts", "typescript"),
        ("tsx", "typescriptreact"),
        ("js", "javascript"),
        ("mjs", "javascript"),
        ("cjs", "javascript"),
        ("jsx", "javascriptreact"),
    ];
    const C: [(&str, &str); 9] = [
        ("c", "c"),
        ("h", "c"),
        ("cc", "cpp"),
        ("cpp", "cpp"),
        ("cxx", "cpp"),
        ("hh", "cpp"),
        ("hpp", "cpp"),
        ("hxx", "cpp"),
        ("m", "objective-c"),
    ];
    const SCRIPT_ROOTS: [&str; 3] = ["tsconfig.json", "jsconfig.json", "package.json"];
    let known: [(&str, LanguageServer); 7] = [
        (
            "rust-analyzer",
            LanguageServer::new(
                "rust-analyzer",
                &[],
                &[("rs", "rust")],
                &["Cargo.toml", "rust-project.json"],
            ),
        ),
        (
            // From version 7 on the compiler is a server itself, and `typescript-language-server` finds nothing with it.
            "typescript",
            LanguageServer {
                companion: Some("../lib/getExePath.js".to_owned()),
                ..LanguageServer::new("tsc", &["--lsp", "--stdio"], &SCRIPTS, &SCRIPT_ROOTS)
            },
        ),
        (
            "typescript-language-server",
            LanguageServer::new("typescript-language-server", &["--stdio"], &SCRIPTS, &SCRIPT_ROOTS),
        ),
        (
            "basedpyright",
            LanguageServer::new("basedpyright-langserver", &["--stdio"], &PYTHON, &PYTHON_ROOTS),
        ),
        ("pyright", LanguageServer::new("pyright-langserver", &["--stdio"], &PYTHON, &PYTHON_ROOTS)),
        ("gopls", LanguageServer::new("gopls", &[], &[("go", "go")], &["go.work", "go.mod"])),
        (
            "clangd",
            LanguageServer::new(
                "clangd",
                &[],
                &C,
                &["compile_commands.json", "compile_flags.txt", ".clangd", "CMakeLists.txt"],
            ),
        ),
    ];
    known.into_iter().map(|(name, server)| (name.to_owned(), server)).collect()
}

/// Reads one, over what is known of it.
pub(crate) fn read(name: &str, value: &Value<'_>, servers: &mut BTreeMap<String, LanguageServer>) {
    let Some(mut section) = value.section() else { return };
    let is_new = !servers.contains_key(name);
    let mut server = servers.get(name).cloned().unwrap_or_else(|| LanguageServer::new("", &[], &[], &[]));
    let is_misread = section.get("command").is_some_and(|value| {
        let command = program(&value);
        server.command = command.clone().unwrap_or_default();
        // A person knows what they name.
        server.companion = None;
        server.is_own |= command.is_some();
        command.is_none()
    });
    section
        .set("args", &mut server.arguments, |value| value.list(|value| value.any_text().map(str::to_owned)));
    section.set("languages", &mut server.languages, languages);
    section.set("roots", &mut server.roots, |value| value.list(Value::text));
    section.set("settings", &mut server.settings, hooks::read);
    section.set("enabled", &mut server.is_enabled, Value::boolean);
    section.finish();
    if is_misread {
        return;
    }
    if is_new && (server.command.is_empty() || server.languages.is_empty()) {
        let missing = if server.command.is_empty() { "command" } else { "languages" };
        value.place().error(format!("`{}` has no `{missing}`", value.place().key()), None);
        return;
    }
    servers.insert(name.to_owned(), server);
}

/// Endings of files, each with the protocol's word for their language; a list where both are the same.
fn languages(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let plain = |ending: &str| ending.trim_start_matches('.').to_owned();
    if matches!(value.node(), DeValue::Array(_)) {
        let endings = value.list(Value::text)?;
        return Some(endings.iter().map(|ending| (plain(ending), plain(ending))).collect());
    }
    Some(value.texts()?.into_iter().map(|(ending, word)| (plain(&ending), word)).collect())
}

fn program(value: &Value<'_>) -> Option<String> {
    let program = value.text()?;
    if program.contains('/') && !Path::new(&program).is_absolute() {
        let message = format!("must name a program in `PATH` or an absolute path, but is `{program}`");
        return value.refuse(&message, None);
    }
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Loaded, load};
    use protocol::error::ConfigurationProblem;
    use protocol::session::SettingsOverrides;

    fn read(text: &str) -> Result<Loaded, Vec<ConfigurationProblem>> {
        let folder = tempfile::tempdir().expect("scratch");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).expect("write");
        load(&file, &SettingsOverrides::default())
    }

    #[test]
    fn a_known_server_is_changed_in_part_and_a_new_one_is_described_in_whole() {
        let text = r#"
            diagnostics_timeout = "3s"
            [language_servers.gopls]
            command = "/opt/gopls"
            [language_servers.pyright]
            enabled = false
            [language_servers.zls]
            command = "zls"
            args = ["--quiet"]
            languages = [".zig"]
            roots = ["build.zig"]
            settings = { level = 3, names = ["a"] }
        "#;
        let settings = read(text).expect("good").settings;
        assert_eq!((settings.diagnostics, settings.diagnostics_timeout_ms), (Diagnostics::On, 3_000));
        let servers = settings.language_servers;
        let go = &servers["gopls"];
        assert_eq!((&*go.command, go.is_own, &*go.roots[0]), ("/opt/gopls", true, "go.work"));
        assert!(!servers["pyright"].is_enabled && !servers["pyright"].is_own);
        let zig = &servers["zls"];
        assert_eq!(zig.language_of(Path::new("/a/b.zig")), Some("zig"));
        assert_eq!(zig.settings, serde_json::json!({"level": 3, "names": ["a"]}));
        assert_eq!(servers["rust-analyzer"].language_of(Path::new("/a/b.rs")), Some("rust"));
        assert!(servers["typescript"].companion.is_some() && servers["typescript"].is_enabled);
        assert_eq!(servers["rust-analyzer"].language_of(Path::new("/a/rs")), None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let told = |text: &str| read(text).expect_err("wrong").remove(0).message;
        assert_eq!(
            told("[language_servers.a]\nlanguages = [\"a\"]"),
            "`language_servers.a` has no `command`"
        );
        assert_eq!(told("[language_servers.a]\ncommand = \"a\""), "`language_servers.a` has no `languages`");
        assert!(told("[language_servers.gopls]\ncommand = \"./gopls\"").contains("absolute path"));
        assert!(told("diagnostics = \"maybe\"").contains("must be one of `on`, `off`"));
    }
}
