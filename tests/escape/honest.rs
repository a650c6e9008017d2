//! Work that has to go on inside.

use crate::suite::is_there;
use crate::yard::{Run, User, Yard};

/// A job, and who can do it: some programs of this machine may be the tests' own user's alone.
const JOBS: &[(&str, &str)] = &[
    ("files", "mkdir -p a/b && echo x > a/b/c && mv a/b/c a/d && cp a/d a/e && rm a/d && ln -s e a/f && ln a/e a/g && chmod 700 a/e && touch -d 2001-01-01 a/e"),
    ("temporary files", "f=$(mktemp) && echo x > $f && rm $f"),
    ("git status", "git status --short"),
    ("git diff", "echo y >> kept; git diff --no-index /dev/null kept | grep -q kept"),
    ("git log", "git log --oneline 2>&1 | grep -q 'does not have any commits'"),
    ("a repository of one's own below the workspace", "mkdir sub && cd sub && mkdir objects && git hash-object --stdin < ../kept"),
    ("compile and run", "echo 'int main(void){return 0;}' > a.c && cc -o a a.c && ./a"),
    ("make -j", "printf 'all: a b c d\\na b c d:\\n\\tsleep 0.01; touch $@\\n' > Makefile && make -s -j4 && test -e d"),
    ("many processes of python", "$PYTHON -c '
import multiprocessing
if __name__ == \"__main__\":
    with multiprocessing.Pool(3) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]'"),
    ("queues and locks of python", "$PYTHON -c '
import multiprocessing as m
q, l = m.Queue(), m.Lock()
p = m.Process(target=q.put, args=(1,)); p.start(); assert q.get() == 1; p.join()
with l: pass'"),
    ("temporary folders of python", "$PYTHON -c '
import tempfile
with tempfile.TemporaryDirectory() as d: open(d + \"/x\", \"w\").write(\"x\")
tempfile.TemporaryFile().write(b\"x\")'"),
    ("shared memory", "$PYTHON -c '
from multiprocessing import shared_memory
s = shared_memory.SharedMemory(create=True, size=10); s.buf[0] = 1; s.close(); s.unlink()'"),
    ("a terminal", "$PYTHON -c '
import os, pty
assert os.waitstatus_to_exitcode(pty.spawn([\"sh\", \"-c\", \"test -t 0 && tty && stty size\"])) == 0'"),
    ("a terminal of `script`", "script -qec 'test -t 0 && tty && stty size' typed < /dev/null | grep -q /dev/pts/"),
    ("a terminal multiplexer", "tmux -S s -f /dev/null new-session -d 'tty > name; exec sleep 100' && until test -s name; do sleep 0.02; done; grep -q /dev/pts/ name && tmux -S s kill-server"),
    ("sqlite", "$PYTHON -c '
import sqlite3
d = sqlite3.connect(\"d.db\"); d.execute(\"pragma journal_mode=wal\"); d.execute(\"create table t(x)\"); d.execute(\"insert into t values(1)\"); d.commit()
assert d.execute(\"select x from t\").fetchone() == (1,)'"),
    ("a server on loopback", "$PYTHON -c '
import socket
s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen()
c = socket.create_connection(s.getsockname()); p, _ = s.accept(); c.send(b\"x\"); assert p.recv(1) == b\"x\"'"),
    ("a server on loopback by name", "$PYTHON -m http.server --bind 127.0.0.1 8123 > /dev/null 2>&1 & for _ in 1 2 3 4 5 6 7 8 9 10; do curl -sf http://localhost:8123/kept && break; $PYTHON -c 'import time; time.sleep(0.2)'; done | grep -q kept && kill $!"),
    ("a pair of sockets", "$PYTHON -c '
import socket
a, b = socket.socketpair(); a.send(b\"x\"); assert b.recv(1) == b\"x\"'"),
    ("a local socket in the workspace", "$PYTHON -c '
import socket
s = socket.socket(socket.AF_UNIX); s.bind(\"s\"); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect(\"s\"); p, _ = s.accept(); c.send(b\"x\"); assert p.recv(1) == b\"x\"'"),
    ("trace one's own child", "strace -f -o trace true && grep -q exited trace"),
    ("debug one's own child", "gdb -batch -ex run -ex quit /bin/true 2>&1 | grep -q 'exited normally'"),
    ("pipes and jobs", "mkfifo p; (echo x > p) & read y < p; wait; test $y = x; seq 100 | xargs -P4 -n1 echo | sort | wc -l | grep -q 100"),
    ("locks of files", "flock l true && $PYTHON -c 'import fcntl; fcntl.lockf(open(\"l\", \"w\"), fcntl.LOCK_EX)'"),
    ("archives", "tar czf a.tgz kept && mkdir x && tar xzf a.tgz -C x && test -e x/kept"),
    ("a signal to one's own child", "sleep 50 & kill $! && ! wait $!"),
    ("threads", "$PYTHON -c '
import threading
t = [threading.Thread(target=print) for _ in range(20)]; [x.start() for x in t]; [x.join() for x in t]'"),
];

/// Jobs with programs that may be the own user's alone.
const JOBS_OF_THE_OWN_USER: &[(&str, &str)] = &[
    ("cargo build", "mkdir -p c/src && printf '[package]\\nname=\"c\"\\nedition=\"2024\"\\n[workspace]\\n' > c/Cargo.toml && echo 'fn main(){}' > c/src/main.rs && cd c && CARGO_HOME=$PWD/h cargo build -q --offline && target/debug/c"),
    ("npm install, offline", "mkdir d && echo '{\"name\":\"d\",\"version\":\"1.0.0\"}' > d/package.json && echo '{\"name\":\"w\",\"version\":\"1.0.0\",\"dependencies\":{\"d\":\"file:./d\"}}' > package.json && npm install --offline --no-audit --no-fund --cache $PWD/cache > /dev/null && test -e node_modules/d/package.json"),
    ("pip install, offline", "$PYTHON -c '
import zipfile
z = zipfile.ZipFile(\"d-1-py3-none-any.whl\", \"w\")
z.writestr(\"d.py\", \"x = 1\"); i = \"d-1.dist-info/\"
z.writestr(i + \"METADATA\", \"Metadata-Version: 2.1\\nName: d\\nVersion: 1\\n\")
z.writestr(i + \"WHEEL\", \"Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n\")
z.writestr(i + \"RECORD\", \"d.py,,\\nd-1.dist-info/METADATA,,\\nd-1.dist-info/WHEEL,,\\nd-1.dist-info/RECORD,,\\n\"); z.close()' && pip install -q --no-index --no-cache-dir --target site ./d-1-py3-none-any.whl; test -e site/d.py"),
];

fn work(user: User, rung: &str) {
    if !is_there(user, rung) {
        return;
    }
    let mut failed = Vec::new();
    let own = if user == User::Own { JOBS_OF_THE_OWN_USER } else { &[] };
    for (name, script) in JOBS.iter().chain(own) {
        let yard = Yard::new(user);
        let rustup: Vec<_> = ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"]
            .iter()
            .filter_map(|&name| Some((name, std::env::var_os(name)?)))
            .collect();
        let rustup = if rustup.iter().any(|(name, _)| *name == "RUSTUP_HOME") {
            rustup
        } else {
            let home = std::env::home_dir().unwrap().join(".rustup");
            rustup.into_iter().chain([("RUSTUP_HOME", home.into_os_string())]).collect()
        };
        let output = yard.run(Run::Confined { rung, policy: "workspace-write" }, script, &rustup);
        if output.code() != Some(0) {
            failed.push(format!("{name}: {:?} {}{}", output.code(), output.stdout, output.stderr));
        }
    }
    assert!(failed.is_empty(), "{rung}, {user:?}: {} jobs fail\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn honest_work_goes_on_in_namespaces() {
    work(User::Own, "namespaces");
}

#[test]
fn honest_work_of_an_ordinary_user_goes_on_in_namespaces() {
    work(User::Ordinary, "namespaces");
}

#[test]
fn honest_work_goes_on_in_bubblewrap() {
    work(User::Own, "bwrap");
}

#[test]
fn honest_work_of_an_ordinary_user_goes_on_in_bubblewrap() {
    work(User::Ordinary, "bwrap");
}

/// What `strict` does not take.
const BESIDE_WHAT_RUNS_LATER: &str = "make -s -C late && cat late/package.json > fresh/copy && mkdir -p fresh/src && \
    echo x > fresh/src/lib.rs && mv fresh/src/lib.rs fresh/src/main.rs && rm fresh/src/main.rs && \
    mkdir -p fresh/target/out fresh/node_modules/d && echo x > fresh/target/out/Makefile && \
    echo '{}' > fresh/node_modules/d/package.json && rm -r fresh/src fresh/target fresh/node_modules";

fn strict(rung: &str) {
    for user in [User::Own, User::Ordinary] {
        if is_there(user, rung) {
            let how = Run::Permitted { rung, permissions: "strict" };
            let output = Yard::new(user).run(how, BESIDE_WHAT_RUNS_LATER, &[]);
            assert_eq!(output.code(), Some(0), "{rung}, {user:?}: {output:?}");
        }
    }
}

/// Links to nothing where something is protected.
const LINKS: [(&str, &str); 3] = [
    ("../nowhere", ".claude"),
    ("/nonexistent", "fresh/linked/Makefile"),
    ("later", "fresh/linked/build.rs"),
];
/// Tries to fill them, and to put something in their place.
const FILL_LINKS: &str = "for l in .claude fresh/linked/Makefile fresh/linked/build.rs; do
    rm -f $l; mv $l x; echo x > $l; mkdir -p $l; echo x > $l/x; done; echo x > fresh/linked/later; true";

fn beside_links(rung: &str) {
    for user in [User::Own, User::Ordinary].into_iter().filter(|user| is_there(*user, rung)) {
        let yard = Yard::new(user);
        std::fs::create_dir(yard.path("work/fresh/linked")).unwrap();
        for (target, link) in LINKS {
            rustix::fs::symlink(target, yard.path("work").join(link)).unwrap();
        }
        let how = Run::Permitted { rung, permissions: "strict" };
        let output = yard.run(how, "echo kept >> kept && make -s -C late", &[]);
        assert_eq!(output.code(), Some(0), "{rung}, {user:?}: {output:?}");
        let output = yard.run(how, FILL_LINKS, &[]);
        for (target, link) in LINKS {
            let found = std::fs::read_link(yard.path("work").join(link));
            assert!(found.is_ok_and(|found| found.as_os_str() == target), "{rung}, {user:?}: {output:?}");
        }
        assert!(!yard.path("nowhere").exists(), "{rung}, {user:?}: {output:?}");
        assert!(!yard.path("work/fresh/linked/later").exists(), "{rung}, {user:?}: {output:?}");
    }
}

#[test]
fn links_to_nothing_stop_no_work_in_namespaces() {
    beside_links("namespaces");
}

#[test]
fn links_to_nothing_stop_no_work_in_bubblewrap() {
    beside_links("bwrap");
}

#[test]
fn links_to_nothing_stop_no_work_under_landlock() {
    beside_links("landlock");
}

#[test]
fn beside_what_runs_later_work_goes_on_in_namespaces() {
    strict("namespaces");
}

#[test]
fn beside_what_runs_later_work_goes_on_in_bubblewrap() {
    strict("bwrap");
}

#[test]
fn beside_what_runs_later_work_goes_on_under_landlock() {
    strict("landlock");
}

/// Commits, and tries what a commit does not need: each of these runs something later.
const COMMIT: &str = "git add kept && git -c user.name=a -c user.email=a@b.c commit -q -m made && git log --oneline | grep -q made || exit 3
touch .git/hooks/post-commit && exit 4
echo '[core]' >> .git/config && exit 5
mv .git away && exit 6
git status --porcelain | grep -E 'commondir|refs|HEAD' && exit 7
mkdir refs && exit 8
echo sub > commondir && exit 9
exit 0";

fn commit(user: User, rung: &str) {
    if !is_there(user, rung) {
        return;
    }
    let permitted = Yard::new(user).run(Run::Permitted { rung, permissions: "commit" }, COMMIT, &[]);
    assert_eq!(permitted.code(), Some(0), "{rung}, {user:?}: {permitted:?}");
    let usual = Yard::new(user).run(Run::Confined { rung, policy: "workspace-write" }, COMMIT, &[]);
    assert_eq!(usual.code(), Some(3), "only where the settings say so: {usual:?}");
}

#[test]
fn git_commits_by_policy_in_namespaces() {
    commit(User::Own, "namespaces");
    commit(User::Ordinary, "namespaces");
}

#[test]
fn git_commits_by_policy_in_bubblewrap() {
    commit(User::Own, "bwrap");
    commit(User::Ordinary, "bwrap");
}

/// Reaches a listener outside, which the usual profile does not.
const REACH: &str = "exec 3<>/dev/tcp/127.0.0.1/$TCP";

fn reach(rung: &str) {
    for user in [User::Own, User::Ordinary] {
        if !is_there(user, rung) {
            continue;
        }
        for (permissions, wanted) in [("online", Some(0)), ("bounded", Some(1))] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port().to_string();
            let how = Run::Permitted { rung, permissions };
            let output = Yard::new(user).run(how, REACH, &[("TCP", port.into())]);
            let is_refused = output.stderr.contains("bound on processes can't be held");
            assert!(output.code() == wanted || is_refused, "{how:?}, {user:?}: {output:?}");
        }
    }
}

#[test]
fn an_open_network_is_open_in_namespaces() {
    reach("namespaces");
}

#[test]
fn an_open_network_is_open_in_bubblewrap() {
    reach("bwrap");
}

#[test]
fn an_open_network_is_open_under_landlock() {
    reach("landlock");
}
