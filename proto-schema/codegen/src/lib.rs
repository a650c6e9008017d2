//! Renders what clients that are not written in Rust read, from the protocol's types to the files of
//! `proto-schema/`. Knows the protocol, and nothing of who serves or calls it.
//!
//! One source of truth: `schema` makes the JSON Schema of every type that the method table reaches; `openrpc`
//! adds the methods, `typescript` translates the schema, and `samples` holds one real value of each message.
//! `folder` compares all of it with what is on disk, and writes it there. The output depends on nothing but
//! the protocol: no clock, no order of a hash map, no feature of a dependency.

pub mod folder;
mod openrpc;
mod samples;
mod schema;
mod typescript;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// All generated files, by their path relative to `proto-schema/`.
#[must_use]
pub fn render() -> BTreeMap<PathBuf, String> {
    let definitions = schema::definitions();
    let documents = [
        ("schema.json", pretty(schema::document(&definitions))),
        ("openrpc.json", pretty(openrpc::document(&definitions))),
        ("typescript/protocol.ts", typescript::render(&definitions)),
    ];
    let samples = samples::all();
    let samples = samples.into_iter().map(|sample| (format!("samples/{}.json", sample.name), sample.text));
    let documents = documents.into_iter().map(|(path, text)| (path.to_owned(), text));
    documents.chain(samples).map(|(path, text)| (PathBuf::from(path), text)).collect()
}

/// The types of the wire by name: the content of `$defs`.
type Definitions = BTreeMap<String, Value>;

/// Indented, with a line feed at the end. Keys are sorted, because the order in a `Map` depends on a feature of
/// serde_json that another crate of the build may turn on.
fn pretty(mut value: Value) -> String {
    value.sort_all_objects();
    format!("{value:#}\n")
}

/// An object of these entries.
fn object<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}
