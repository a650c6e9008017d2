//! `KEY=VALUE` as one line of TOML, so that overrides are read like a file. Knows nothing of which keys exist.

use protocol::error::ConfigurationProblem;
use protocol::session::{SettingOverride, SettingsOverrides};
use toml::de::DeValue;

use crate::source::Source;

/// All overrides in the order in which they are applied: those with a key first, then the typed ones.
pub(crate) fn all(overrides: &SettingsOverrides) -> Vec<SettingOverride> {
    let typed = [
        ("profile", overrides.profile.as_deref()),
        ("model", overrides.model.as_deref()),
        ("sandbox_mode", overrides.sandbox.map(|mode| mode.as_str())),
        ("default_permissions", overrides.permissions.as_deref()),
        ("approval_policy", overrides.approval.map(|policy| policy.as_str())),
    ];
    let typed = typed
        .into_iter()
        .filter_map(|(key, value)| Some(SettingOverride { key: key.to_owned(), value: quoted(value?) }));
    overrides.values.iter().cloned().chain(typed).collect()
}

/// An override as a source. A value that is no TOML, and does not begin like text, a list or a table, is text.
pub(crate) fn source(given: &SettingOverride) -> Result<Source, Box<ConfigurationProblem>> {
    let origin = format!("{}={}", given.key, given.value);
    let key = given.key.trim();
    let is_key = !key.is_empty() && !key.contains(['=', '\n', '\r', '#']) && !key.starts_with('[');
    if !is_key {
        let source = Source::of_override(origin.clone(), origin);
        let message = "An override begins with a key and `=`".to_owned();
        return Err(Box::new(source.problem(0..given.key.len(), message)));
    }
    let value = given.value.trim();
    let is_bare = !value.starts_with(['"', '\'', '[', '{']) && DeValue::parse(value).is_err();
    let value = if is_bare { quoted(value) } else { value.to_owned() };
    Ok(Source::of_override(origin, format!("{key} = {value}")))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(key: &str, value: &str) -> Result<String, String> {
        let given = SettingOverride { key: key.to_owned(), value: value.to_owned() };
        let source = source(&given).map_err(|problem| problem.message)?;
        let table = source.parse().map_err(|problems| problems[0].message.clone())?;
        assert_eq!(table.len(), 1, "{key}={value}");
        let mut value = table.values().next().unwrap().get_ref();
        while let DeValue::Table(table) = value {
            value = table.values().next().unwrap().get_ref();
        }
        Ok(format!("{value:?}").split('(').next().unwrap().to_owned())
    }

    #[test]
    fn a_bare_word_is_text_and_a_toml_value_is_what_it_is() {
        for (key, value, kind) in [
            ("model", "gpt-5.5", "String"),
            ("model", "a b\"c", "String"),
            ("model", "", "String"),
            ("openai_base_url", "http://127.0.0.1:1/v1", "String"),
            ("openai_base_url", "\"http://127.0.0.1:1/v1\"", "String"),
            ("sandbox_workspace_write.network_access", "true", "Boolean"),
            ("limits.max_tokens", "1_000", "Integer"),
            ("limits.max_cost", " 0.5 ", "Float"),
            ("model_prices.\"gpt-5.5\".input", "3", "Integer"),
            ("shell_environment_policy.exclude", "[\"A\"]", "Array"),
            ("model", "x\nsandbox_mode = 1", "String"),
        ] {
            assert_eq!(parsed(key, value).as_deref(), Ok(kind), "{key}={value}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for (key, value) in [("", "1"), ("a\nb", "1"), ("[a]", "1"), ("a b", "1"), ("a", "[1"), ("a", "\"x")]
        {
            assert!(parsed(key, value).is_err(), "{key}={value}");
        }
    }
}
