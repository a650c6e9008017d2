//! Who may import whom: every manifest against the tables of the root manifest. Knows manifests, no code.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::expect_none;
use crate::package::{Package, packages, root_manifest};

/// In the layer table: any of ours.
const ANY: &str = "*";

/// What is wrong with one manifest.
fn complaints(package: &str, manifest: &Table, root: &Table, ours: &BTreeSet<String>) -> Vec<String> {
    let metadata = &root["workspace"]["metadata"];
    let mut all = Vec::new();
    let Some(allowed) = metadata["layers"].get(package) else {
        return vec![format!("`{package}` does not stand in `[workspace.metadata.layers]`")];
    };
    for dependency in dependencies(manifest, root) {
        if ours.contains(&dependency) {
            if !lists(allowed, &dependency) && !lists(allowed, ANY) {
                all.push(format!(
                    "`{package}` may not import `{dependency}`; see `[workspace.metadata.layers]`"
                ));
            }
        } else if let Some(owners) = metadata["owners"].get(&dependency)
            && !lists(owners, package)
        {
            all.push(format!("`{package}` may not use `{dependency}`, which belongs to {owners}"));
        }
    }
    if manifest.get("features").is_some() {
        all.push(format!("`{package}` has cargo features; one build, one meaning"));
    }
    all
}

fn lists(names: &Value, name: &str) -> bool {
    names.as_array().is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)))
}

/// The names of the packages that a manifest depends on, for any target and purpose.
fn dependencies(manifest: &Table, root: &Table) -> BTreeSet<String> {
    let mut tables: Vec<&Table> = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let listed = tables.iter().flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    let renamed = |name: &str, value: &Value| {
        let in_root = &root["workspace"]["dependencies"];
        let value = if value.get("workspace").is_some() { in_root.get(name) } else { Some(value) };
        let package = value.and_then(|value| value.get("package")).and_then(Value::as_str);
        package.unwrap_or(name).to_owned()
    };
    listed.flat_map(|table| table.iter().map(|(name, value)| renamed(name, value))).collect()
}

#[test]
fn every_package_imports_only_what_its_layer_may() {
    let (root, packages) = (root_manifest(), packages());
    let ours: BTreeSet<String> = packages.iter().map(|package| package.name.clone()).collect();
    let of = |package: &Package| complaints(&package.name, &package.manifest, &root, &ours);
    expect_none(&packages.iter().flat_map(of).collect::<Vec<_>>());
}

#[test]
fn every_name_in_the_tables_has_a_row() {
    // What stands in the tables is a package there is or one that the architecture foresees; a misspelt name
    // would allow nothing and go unnoticed, so a name must at least have a row of its own.
    let root = root_manifest();
    let layers = root["workspace"]["metadata"]["layers"].as_table().unwrap();
    let owners = root["workspace"]["metadata"]["owners"].as_table().unwrap();
    let named = layers
        .values()
        .chain(owners.values())
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str);
    let unknown: Vec<_> = named.filter(|name| *name != ANY && !layers.contains_key(*name)).collect();
    assert_eq!(unknown, [""; 0], "no row in `[workspace.metadata.layers]`");
}

#[test]
fn each_wrong_import_is_caught() {
    let root: Table = "
        [workspace.metadata.layers]
        low = []
        high = ['low']
        anything = ['*']
        [workspace.metadata.owners]
        sqlx = ['low']
        [workspace.dependencies]
        low = { path = 'low' }
        base = { package = 'low', path = 'low' }
        sqlx = '1'
        serde = '1'
    "
    .parse()
    .unwrap();
    let ours = BTreeSet::from(["low", "high", "anything", "stray"].map(str::to_owned));
    let check = |package: &str, manifest: &str| complaints(package, &manifest.parse().unwrap(), &root, &ours);
    assert_eq!(check("high", "[dependencies]\nlow.workspace = true\nserde = '1'"), [""; 0]);
    assert_eq!(check("anything", "[dependencies]\nlow.workspace = true\nhigh = { path = 'x' }"), [""; 0]);
    assert_eq!(check("low", "[dependencies]\nsqlx.workspace = true"), [""; 0]);
    for (package, manifest, wanted) in [
        ("stray", "", "`stray` does not stand"),
        ("low", "[dependencies]\nhigh = { path = 'x' }", "`low` may not import `high`"),
        ("low", "[dev-dependencies]\nhigh = { path = 'x' }", "`low` may not import `high`"),
        ("low", "[target.'cfg(unix)'.dependencies]\nhigh = { path = 'x' }", "`low` may not import `high`"),
        ("low", "[dependencies]\nx = { package = 'high', path = 'x' }", "`low` may not import `high`"),
        ("low", "[dependencies]\nbase.workspace = true", "`low` may not import `low`"),
        ("high", "[dependencies]\nsqlx = '1'", "`high` may not use `sqlx`"),
        ("anything", "[dependencies]\nsqlx = '1'", "`anything` may not use `sqlx`"),
        ("high", "[features]\nfast = []", "has cargo features"),
    ] {
        let found = check(package, manifest);
        assert!(found.len() == 1 && found[0].contains(wanted), "{manifest}: {found:?}");
    }
}
