//! Which variables of a client's environment the commands of a session see. Keys of providers, and whatever leads to
//! the daemon, to agents that hold keys or to other programs of the user, stay out whatever the settings say; another
//! secret does unless they name it.

use std::collections::BTreeSet;
use std::ffi::OsString;

use config::Settings;
use protocol::profile::{EnvironmentPolicy, Inherited};
use protocol::session::Environment;
use session::world::CommandEnvironment;

/// What every program needs.
const CORE: [&str; 13] = [
    "HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER",
    "USERNAME",
];

/// Names that end so are secrets. With `_`, so that `PWD` and names that only end alike stay: `_PAT` are personal access
/// tokens, `_DSN` addresses of databases, many of which hold a password, and who knows a `WEBHOOK_URL` may use it.
const SECRET_SUFFIXES: [&str; 9] =
    ["PASS", "_PWD", "_PW", "_AUTH", "_PAT", "_JWT", "_CREDS", "_DSN", "WEBHOOK_URL"];
/// Names that hold one of these are secrets.
const SECRET_PARTS: [&str; 9] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "COOKIE",
    "CONNECTION_STRING",
];
/// Names that begin so lead to a program that can do more than a command may.
const PREFIXES: [&str; 7] = ["SKEIN_", "CODEX_", "DBUS", "SSH_", "GPG_", "TMUX", "XAUTHORITY"];
/// Names that end so are sockets of such programs.
const SUFFIXES: [&str; 2] = ["_SOCK", "_SOCKET"];
/// Further names of such programs.
const NAMES: [&str; 2] = ["STY", "XDG_RUNTIME_DIR"];

/// The variables that commands see by the settings, in the order of their names.
pub(crate) fn for_commands(environment: &Environment, settings: &Settings) -> CommandEnvironment {
    within(&settings.shell_environment_policy, environment, settings)
}

/// The same by another policy, such as that of a session's profile.
pub(crate) fn within(
    policy: &EnvironmentPolicy,
    environment: &Environment,
    settings: &Settings,
) -> CommandEnvironment {
    let named = named_secrets(settings);
    environment
        .iter()
        .filter(|(name, value)| is_sound(name, value) && !leads_out(name) && !named.contains(name.as_str()))
        .filter(|(name, value)| !(is_secret(name) || has_password(name, value)) || is_named(name, policy))
        .filter(|(name, _)| is_wanted(name, policy))
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

/// What leads to the desktop.
const DESKTOP: [&str; 5] =
    ["DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR"];

/// The variables that the `notify` program sees: what every program needs, and what leads to the desktop. It is the
/// user's own and confined by nothing, so the desktop is open to it; keys are none of its business.
pub(crate) fn for_the_notifier(environment: &Environment) -> impl Iterator<Item = (&str, &str)> {
    environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, value)| is_sound(name, value))
        .filter(|(name, _)| CORE.contains(name) || DESKTOP.contains(name) || name.starts_with("LC_"))
}

/// The variables that an MCP server sees beside those that the settings give it: what every program needs, and nothing
/// that tells one terminal or folder of a client from another.
pub(crate) fn for_servers(environment: &Environment) -> impl Iterator<Item = (&str, &str)> {
    environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, value)| is_sound(name, value) && !matches!(*name, "PWD" | "TERM"))
        .filter(|(name, _)| CORE.contains(name) || name.starts_with("LC_"))
}

/// The variables that the settings themselves name as secrets.
fn named_secrets(settings: &Settings) -> BTreeSet<&str> {
    settings
        .model_providers
        .values()
        .flat_map(|provider| {
            provider.env_keys().chain(provider.env_http_headers.values().map(String::as_str))
        })
        .collect()
}

/// Whether the system takes it as a variable at all.
fn is_sound(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

/// Whether commands must not see it unless a person names it.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // `AUTH` is a secret, `AUTHOR` is a person.
    let is_authorization = name.replace("AUTHOR_", "").replace("AUTHORS", "").contains("AUTH");
    is_authorization
        || SECRET_PARTS.iter().any(|part| name.contains(part))
        || SECRET_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether the value is an address with a password in it, as `DATABASE_URL` often is: `scheme://user:password@host`. That
/// of a proxy stays: where there is such a one, nothing reaches the network without.
fn has_password(name: &str, value: &str) -> bool {
    let is_proxy = name.to_ascii_uppercase().ends_with("_PROXY");
    let has_one = |rest: &str| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
    };
    !is_proxy && value.split("://").skip(1).any(has_one)
}

/// Whether what is wanted holds the whole name. A pattern means no secret: who writes `AWS_*` may not think of one.
fn is_named(name: &str, policy: &EnvironmentPolicy) -> bool {
    policy.include_only.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

/// Whether commands must never see it.
fn leads_out(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || NAMES.contains(&name.as_str())
}

fn is_wanted(name: &str, policy: &EnvironmentPolicy) -> bool {
    let is_inherited = match policy.inherit {
        Inherited::None => false,
        Inherited::Core => CORE.contains(&name) || name.starts_with("LC_"),
        Inherited::All => true,
    };
    let matches_one = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
    is_inherited
        && !matches_one(&policy.exclude)
        && (policy.include_only.is_empty() || matches_one(&policy.include_only))
}

/// Whether the name matches the pattern, in which `*` stands for any characters and `?` for one. Case does not
/// matter.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let (mut at_pattern, mut at_name) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: let it stand for one more character.
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                retry = Some((at_pattern + 1, at_name + 1));
                at_pattern += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[at_name] => {
                at_pattern += 1;
                at_name += 1;
            }
            Some(_) | None => {
                let Some((after_star, next)) = retry else { return false };
                (at_pattern, at_name) = (after_star, next);
                retry = Some((after_star, next + 1));
            }
        }
    }
    pattern[at_pattern..].iter().all(|&left| left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(environment: &[&str], settings: &Settings) -> Vec<String> {
        let environment = environment.iter().map(|&name| (name.to_owned(), "x".to_owned())).collect();
        let seen = for_commands(&environment, settings);
        seen.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn secrets_and_ways_out_are_removed() {
        for name in [
            "OPENAI_API_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "GITHUB_TOKEN",
            "github_token",
            "NPM_CONFIG__AUTH",
            "HTTP_AUTHORIZATION",
            "PGPASSWORD",
            "MYSQL_PWD",
            "DB_PASS",
            "SUDO_ASKPASS",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "KEY",
            "SESSION_COOKIE",
            "SSH_AUTH_SOCK",
            "SSH_CONNECTION",
            "GPG_AGENT_INFO",
            "DBUS_SESSION_BUS_ADDRESS",
            "XDG_RUNTIME_DIR",
            "SKEIN_HOME",
            "SKEIN_ANYTHING",
            "CODEX_HOME",
            "DOCKER_SOCK",
            "NVIM_SOCKET",
            "TMUX",
            "TMUX_PANE",
            "STY",
            "XAUTHORITY",
            "BASIC_AUTH",
            "AUTH",
            "GH_PAT",
            "AZURE_DEVOPS_EXT_PAT",
            "IMAP_PW",
            "MY_JWT",
            "GOOGLE_CREDS",
            "MYSQL_DSN",
            "SLACK_WEBHOOK_URL",
            "AZURE_STORAGE_CONNECTION_STRING",
        ] {
            assert_eq!(names(&[name], &Settings::default()), [""; 0], "{name}");
        }
    }

    #[test]
    fn what_programs_need_stays() {
        for name in [
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "LC_ALL",
            "TERM",
            "TMPDIR",
            "TZ",
            "PWD",
            "OLDPWD",
            "EDITOR",
            "CARGO_HOME",
            "GOPATH",
            "JAVA_HOME",
            "VIRTUAL_ENV",
            "CI",
            "http_proxy",
            "GIT_AUTHOR_NAME",
            "GIT_AUTHOR_EMAIL",
            "XDG_CONFIG_HOME",
            "NODE_OPTIONS",
            "LD_LIBRARY_PATH",
            "PYTHONPATH",
            "COMPASS_X",
            "PATTERN",
            "GLIBC_COMPAT",
            "PWD_LENGTH",
            "WEBHOOK_PORT",
        ] {
            assert_eq!(names(&[name], &Settings::default()), [name], "{name}");
        }
    }

    #[test]
    fn addresses_with_a_password_are_removed_whatever_their_name() {
        for (name, value, stays) in [
            ("DATABASE_URL", "postgres://me:s3cret@db.example/app", false),
            ("REDIS_URL", "redis://:s3cret@cache:6379/0", false),
            ("MIRRORS", "https://a.example/ https://me:s3:cr@et@b.example/", false),
            ("DATABASE_URL", "postgres://me@db.example:5432/app", true),
            ("DATABASE_URL", "postgres://me:@db.example/app", true),
            ("DATABASE_URL", "sqlite:///app.db", true),
            ("PAGE", "http://localhost:8080/user@host?a=b:c@d", true),
            ("PAGE", "http://localhost:8080?mail=a:b@c", true),
            ("MAIL", "me:you@example", true),
            ("https_proxy", "http://me:s3cret@proxy:3128", true),
        ] {
            let environment = [(name.to_owned(), value.to_owned())].into_iter().collect();
            let seen = for_commands(&environment, &Settings::default());
            assert_eq!(seen.len() == 1, stays, "{name}={value}");
            let mut settings = Settings::default();
            settings.shell_environment_policy.include_only = vec!["*".to_owned(), name.to_owned()];
            assert_eq!(for_commands(&environment, &settings).len(), 1, "{name} by its name");
        }
    }

    #[test]
    fn what_the_settings_name_as_a_key_is_removed() {
        let mut settings = Settings::default();
        let mut provider = config::ModelProvider::new("mine");
        provider.env_key = Some("MY_LLM".to_owned());
        provider.env_http_headers.insert("x-team".to_owned(), "MY_TEAM".to_owned());
        settings.model_providers.insert("mine".to_owned(), provider);
        assert_eq!(names(&["MY_LLM", "MY_TEAM", "MY_DOG"], &settings), ["MY_DOG"]);
    }

    #[test]
    fn the_policy_of_the_settings_takes_away_more() {
        let mut settings = Settings::default();
        let all = ["HOME", "LC_ALL", "MY_CAT", "MY_DOG", "PATH"];
        settings.shell_environment_policy.exclude = vec!["my_c*".to_owned()];
        assert_eq!(names(&all, &settings), ["HOME", "LC_ALL", "MY_DOG", "PATH"]);
        settings.shell_environment_policy.include_only = vec!["P*".to_owned(), "MY_*".to_owned()];
        assert_eq!(names(&all, &settings), ["MY_DOG", "PATH"]);
        settings.shell_environment_policy = EnvironmentPolicy::default();
        settings.shell_environment_policy.inherit = Inherited::Core;
        assert_eq!(names(&all, &settings), ["HOME", "LC_ALL", "PATH"]);
        settings.shell_environment_policy.inherit = Inherited::None;
        assert_eq!(names(&all, &settings), [""; 0]);
    }

    #[test]
    fn a_secret_is_seen_where_its_whole_name_is_listed_and_a_way_out_or_a_key_of_a_provider_never() {
        let all =
            ["AWS_REGION", "AWS_SECRET_ACCESS_KEY", "DB_PASS", "MY_LLM_KEY", "SKEIN_HOME", "SSH_AUTH_SOCK"];
        let mut settings = Settings::default();
        let mut provider = config::ModelProvider::new("mine");
        provider.env_key = Some("MY_LLM_KEY".to_owned());
        settings.model_providers.insert("mine".to_owned(), provider);
        let mut seen = |include: &[&str]| {
            let include = include.iter().map(|&name| name.to_owned()).collect();
            settings.shell_environment_policy.include_only = include;
            names(&all, &settings)
        };
        assert_eq!(seen(&["*", "AWS_*"]), ["AWS_REGION"]);
        assert_eq!(seen(&["aws_secret_access_key"]), ["AWS_SECRET_ACCESS_KEY"]);
        assert_eq!(seen(&["*", "DB_PASS"]), ["AWS_REGION", "DB_PASS"]);
        assert_eq!(seen(&all), ["AWS_REGION", "AWS_SECRET_ACCESS_KEY", "DB_PASS"]);
        settings.shell_environment_policy.exclude = vec!["DB_*".to_owned()];
        assert_eq!(names(&all, &settings), ["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]);
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "X", true),
            ("A?C", "ABC", true),
            ("A?C", "AC", false),
            ("A*C", "AXXC", true),
            ("A*C", "AC", true),
            ("*B*", "ABA", true),
            ("*AB", "AAB", true),
            ("A", "AB", false),
            ("", "", true),
            ("a*", "ABC", true),
            ("*A*A*A*A*A*A*A*B", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
