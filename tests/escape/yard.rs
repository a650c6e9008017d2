//! A folder with a workspace, something outside of it, and a home; and how a script is run there, confined or not.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Gid, Uid};
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::{Invocation, Output};
use tempfile::TempDir;

/// No attempt takes as long as this.
const LIMIT: Duration = Duration::from_secs(40);

/// An ordinary user; it need not be in any list.
const ORDINARY: u32 = 1234;

/// What no command may ever tell.
pub(crate) const SECRET: &str = "planted-secret";

/// Who runs the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Own,
    /// Another one, without any privilege. Only root can be it.
    Ordinary,
}

/// Files in the home that hold a secret, and what stands around it.
const CREDENTIALS: [(&str, &str, &str); 10] = [
    (".aws/credentials", "[default]\naws_secret_access_key = ", "\n"),
    (".kube/config", "users: [{user: {token: ", "}}]\n"),
    (".docker/config.json", "{\"auths\": {\"a.example\": {\"auth\": \"", "\"}}}\n"),
    (".cargo/credentials.toml", "[registry]\ntoken = \"", "\"\n"),
    (".config/git/credentials", "https://me:", "@a.example\n"),
    (".config/gh/hosts.yml", "github.com:\n    oauth_token: ", "\n"),
    (".git-credentials", "https://me:", "@a.example\n"),
    (".netrc", "machine a.example login me password ", "\n"),
    (".pgpass", "*:*:*:me:", "\n"),
    (".pypirc", "[pypi]\npassword = ", "\n"),
];

/// How a script is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run<'a> {
    /// In the sandbox, on this rung, with this policy.
    Confined { rung: &'a str, policy: &'a str },
    /// In the sandbox, on this rung, with what the settings describe under this name.
    Permitted { rung: &'a str, permissions: &'a str },
    /// As it is.
    Free,
}

/// The folder. Neither the workspace nor a temporary one for Skein, so that nothing of it is writable but `work`.
pub(crate) struct Yard {
    root: TempDir,
    user: User,
}

impl Yard {
    pub(crate) fn new(user: User) -> Self {
        let root = tempfile::Builder::new().prefix("skein-escape-").tempdir_in("/var/tmp").unwrap();
        let yard = Self { root, user };
        for folder in [
            "work/.git/hooks",
            "work/.git/objects",
            "work/.git/refs",
            "work/nested/.git/objects",
            "work/nested/.git/refs",
            "work/.github/workflows",
            "work/late/.vscode",
            "work/fresh",
            "outside/empty",
            "home/.aws",
            "home/.kube",
            "home/.docker",
            "home/.cargo",
            "home/.config/git",
            "home/.config/gh",
            "skein",
            "sockets",
        ] {
            fs::create_dir_all(yard.path(folder)).unwrap();
        }
        let settings = format!(
            "# {SECRET}\nmodel_provider = \"mine\"\n[model_providers.mine]\nbase_url = \"http://127.0.0.1:1/v1\"\n\
             [permissions.commit]\nextends = \"workspace-write\"\ngit_commit = true\n\
             [permissions.online]\nextends = \"workspace-write\"\nnetwork = \"full\"\n\
             [permissions.bounded]\nextends = \"workspace-write\"\n\
             [permissions.bounded.limits]\nmax_processes = 64\nmax_memory = \"64 MiB\"\n"
        );
        for (name, before, after) in CREDENTIALS {
            fs::write(yard.path("home").join(name), format!("{before}{SECRET}{after}")).unwrap();
        }
        for (name, text) in [
            ("work/.git/HEAD", "ref: refs/heads/main\n"),
            ("work/.git/config", "[core]\n\trepositoryformatversion = 0\n"),
            ("work/nested/.git/HEAD", "ref: refs/heads/main\n"),
            ("work/nested/.git/config", "[core]\n\trepositoryformatversion = 0\n"),
            ("work/kept", "kept"),
            ("work/.github/workflows/ci.yml", "kept"),
            ("work/late/.vscode/tasks.json", "kept"),
            ("work/late/Makefile", "kept:\n"),
            ("work/late/package.json", "{\"kept\": 1}"),
            ("work/late/build.rs", "kept"),
            ("work/late/.envrc", "kept"),
            ("outside/kept", "kept"),
            ("skein/config.toml", &settings),
        ] {
            fs::write(yard.path(name), text).unwrap();
        }
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, yard.path("outside/fifo"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        if user == User::Ordinary {
            give(yard.root.path());
        }
        yard
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A program as the yard's user, in the workspace.
    pub(crate) fn invocation(&self, argv: Vec<OsString>) -> Invocation {
        let own = std::env::var_os("PATH").unwrap();
        let (argv, path) = match self.user {
            User::Own => (argv, own),
            User::Ordinary => {
                let id = ORDINARY.to_string();
                let user =
                    ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", "--"];
                let path = "/usr/local/bin:/usr/bin:/bin".into();
                (user.map(OsString::from).into_iter().chain(argv).collect(), path)
            }
        };
        let mut argv = argv.into_iter();
        let program = PathBuf::from(argv.next().unwrap());
        Invocation::new(program, argv, self.path("work")).variable("PATH", path).limit(LIMIT)
    }

    /// What a rung says of itself.
    pub(crate) fn explain(&self, rung: &str) -> Output {
        let skein = skein_exe().unwrap().into_os_string();
        let rest = ["sandbox", "--backend", rung, "--explain", "--", "true"].map(OsString::from);
        let invocation = self.invocation([skein].into_iter().chain(rest).collect());
        let home = self.path("home");
        invocation.variable("HOME", home).variable("SKEIN_HOME", self.path("skein")).run().unwrap()
    }

    /// Runs a script to its end, with these variables besides those that every script has.
    pub(crate) fn run(&self, how: Run<'_>, script: &str, variables: &[(&str, OsString)]) -> Output {
        let skein = skein_exe().unwrap();
        let mut argv: Vec<OsString> = Vec::new();
        let confined = match how {
            Run::Confined { rung, policy } => Some([rung, "--policy", policy]),
            Run::Permitted { rung, permissions } => Some([rung, "--permissions", permissions]),
            Run::Free => None,
        };
        if let Some(flags) = confined {
            argv.push(skein.clone().into());
            argv.extend(["sandbox", "--backend"].into_iter().chain(flags).chain(["--"]).map(OsString::from));
        }
        argv.extend(["/bin/bash", "-c", script].map(OsString::from));
        let mut invocation = self
            .invocation(argv)
            .variable("HOME", self.path("home"))
            .variable("SKEIN_HOME", self.path("skein"))
            .variable("SKEIN", skein)
            .variable("OUT", self.path("outside"))
            .variable("SETTINGS", self.path("skein/config.toml"))
            .variable("PYTHON", "/usr/bin/python3");
        for secret in
            ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "SSH_AUTH_SOCK"]
        {
            invocation = invocation.variable(secret, SECRET);
        }
        for (name, value) in variables {
            invocation = invocation.variable(*name, value.clone());
        }
        invocation.run().unwrap()
    }
}

/// Makes all of a folder the ordinary user's.
fn give(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
    rustix::fs::chown(path, Some(Uid::from_raw(ORDINARY)), Some(Gid::from_raw(ORDINARY))).unwrap();
}
