//! Tool calls that come in fragments. Servers differ in all: some number the calls, some number them all with 0, some
//! don't; some repeat id and name, some send none; some send whole calls, and arguments as an object.

use serde::Deserialize;
use serde_json::Value;

use crate::functions::is_object;

/// A fragment of a call.
#[derive(Deserialize)]
pub(crate) struct Fragment {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionFragment>,
}

#[derive(Default, Deserialize)]
struct FunctionFragment {
    name: Option<String>,
    /// A string that goes on, or a whole object.
    arguments: Option<Value>,
}

/// A call as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Partial {
    index: Option<u32>,
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// Adds a fragment to the call that it belongs to, or begins a call.
pub(crate) fn join(calls: &mut Vec<Partial>, fragment: Fragment) {
    let Fragment { index, id, function } = fragment;
    let FunctionFragment { name, arguments } = function.unwrap_or_default();
    let (id, name) = (id.filter(|id| !id.is_empty()), name.filter(|name| !name.is_empty()));
    let known = calls
        .iter_mut()
        .rev()
        .find(|call| index.is_none_or(|index| call.index == Some(index)) && !is_next(call, &id, &name));
    let call = match known {
        Some(call) => call,
        None => calls.push_mut(Partial { index, id: None, name: String::new(), arguments: String::new() }),
    };
    if call.id.is_none() {
        call.id = id;
    }
    if call.name.is_empty() {
        call.name = name.unwrap_or_default();
    }
    match arguments {
        Some(Value::String(text)) => call.arguments.push_str(&text),
        Some(object @ Value::Object(_)) => call.arguments = object.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | None => {}
    }
}

/// Whether a fragment with this id and this name begins another call than this one.
fn is_next(call: &Partial, id: &Option<String>, name: &Option<String>) -> bool {
    match (&call.id, id) {
        (Some(known), Some(id)) => known != id,
        // Without an id only a name after whole arguments tells, or another name.
        _ => name
            .as_ref()
            .is_some_and(|name| !call.name.is_empty() && (*name != call.name || is_object(&call.arguments))),
    }
}
