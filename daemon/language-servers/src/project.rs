//! The folder that a language server works on.

use std::path::{Path, PathBuf};

use config::LanguageServer;

/// The outermost folder above the file, within this repository or folder, that has one of the files by which the
/// server knows a project; if there is none, the repository or folder itself. Looks at the file system.
#[must_use]
pub fn project(server: &LanguageServer, within: &Path, file: &Path) -> PathBuf {
    let above = file.ancestors().skip(1).take_while(|folder| folder.starts_with(within));
    let is_one = |folder: &&Path| server.roots.iter().any(|name| folder.join(name).exists());
    above.filter(is_one).last().unwrap_or(within).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_is_the_outermost_one_within_the_repository() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let repository = root.join("repo");
        for file in ["Cargo.toml", "repo/back/Cargo.toml", "repo/back/crates/a/Cargo.toml"] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, "").expect("file");
        }
        let server = LanguageServer {
            command: "x".to_owned(),
            arguments: Vec::new(),
            companion: None,
            languages: [].into(),
            roots: vec!["Cargo.toml".to_owned()],
            settings: serde_json::Value::Null,
            is_enabled: true,
            is_own: false,
        };
        let of = |file: &str| project(&server, &repository, &repository.join(file));
        assert_eq!(of("back/crates/a/src/lib.rs"), repository.join("back"));
        assert_eq!(of("front/a.rs"), repository);
        assert_eq!(project(&server, &repository, &root.join("elsewhere/a.rs")), repository);
    }
}
