//! The workspace's members: where they are, what their manifests say, which files are theirs. Knows cargo's
//! defaults for where crates begin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A member of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the repository.
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Table,
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The root manifest.
pub(crate) fn root_manifest() -> Table {
    read_manifest(&repository())
}

/// All members.
pub(crate) fn packages() -> Vec<Package> {
    let members = root_manifest()["workspace"]["members"].clone();
    let folders = members.as_array().unwrap().iter().map(|member| PathBuf::from(member.as_str().unwrap()));
    let packages = folders.map(|folder| {
        let manifest = read_manifest(&repository().join(&folder));
        Package { name: manifest["package"]["name"].as_str().unwrap().to_owned(), folder, manifest }
    });
    packages.collect()
}

fn read_manifest(folder: &Path) -> Table {
    let path = folder.join("Cargo.toml");
    read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file that must be there and be text.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files of all members, relative to the repository.
pub(crate) fn rust_files() -> Vec<PathBuf> {
    packages().iter().flat_map(Package::rust_files).collect()
}

impl Package {
    /// Its Rust files, relative to the repository; not those of members inside its folder.
    pub(crate) fn rust_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.folder, &mut files);
        files.sort();
        files
    }

    /// The files where its crates begin, relative to the repository.
    pub(crate) fn roots(&self) -> BTreeSet<PathBuf> {
        let mut roots = BTreeSet::new();
        if let Some(path) = self.manifest.get("lib").and_then(|lib| lib.get("path")).and_then(Value::as_str) {
            roots.insert(self.folder.join(path));
        }
        for kind in ["bin", "test", "bench", "example"] {
            let targets = self.manifest.get(kind).and_then(Value::as_array).into_iter().flatten();
            let paths = targets.filter_map(|target| target.get("path")).filter_map(Value::as_str);
            roots.extend(paths.map(|path| self.folder.join(path)));
        }
        let is_on =
            |switch: &str| self.manifest["package"].get(switch).and_then(Value::as_bool) != Some(false);
        roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|path| self.folder.join(path)));
        for (switch, folder) in [
            ("autobins", "src/bin"),
            ("autotests", "tests"),
            ("autobenches", "benches"),
            ("autoexamples", "examples"),
        ] {
            if is_on(switch) {
                let files = self.rust_files();
                let folder = self.folder.join(folder);
                let is_root = |file: &PathBuf| {
                    file.parent() == Some(&folder)
                        || (file.ends_with("main.rs")
                            && file.parent().and_then(Path::parent) == Some(&folder))
                };
                roots.extend(files.into_iter().filter(is_root));
            }
        }
        roots.into_iter().filter(|root| repository().join(root).is_file()).collect()
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(repository().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type().unwrap().is_dir() {
            let is_other_package = repository().join(&path).join("Cargo.toml").exists();
            if !is_hidden && !is_other_package && entry.file_name() != "target" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
