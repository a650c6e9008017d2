//! A table whose keys are known, read key by key. What was not asked for when it ends is not known; so the
//! code that reads a table is the one list of its keys. Knows nothing of which keys there are.

use toml::de::DeTable;

use crate::value::{Place, Value, nearest};

/// A table in the course of being read.
pub(crate) struct Section<'a> {
    place: Place<'a>,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(place: Place<'a>, table: &'a DeTable<'a>) -> Self {
        Self { place, table, known: Vec::new() }
    }

    /// Asks for a key, which makes it known.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        Some(Value::new(self.place.within(key, value.span()), value.get_ref()))
    }

    /// Asks for a key and puts its value where it belongs; what is absent or wrong leaves that untouched.
    pub(crate) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) {
        if let Some(value) = self.get(key).and_then(|value| read(&value)) {
            *target = value;
        }
    }

    /// Asks for a key that is a table.
    pub(crate) fn within(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>)) {
        if let Some(mut section) = self.get(key).and_then(|value| value.section()) {
            read(&mut section);
            section.finish();
        }
    }

    /// Asks for a key that is a table whose keys are names that a person chose.
    pub(crate) fn entries(&mut self, key: &'static str) -> Vec<(&'a str, Value<'a>)> {
        self.get(key).map(|value| value.entries()).unwrap_or_default()
    }

    /// Warns of every key that was not asked for.
    pub(crate) fn finish(self) {
        for name in self.table.keys() {
            let key = name.get_ref().as_ref();
            if !self.known.contains(&key) {
                let place = self.place.within(key, name.span());
                let message = format!("`{}` is not a known key and is ignored", place.key());
                place.warn(message, nearest(key, self.known.iter().copied()));
            }
        }
    }
}
