//! Under `strict`: files that something runs later, changed where they are and made where they are not.

use crate::attempt::{Attempt, works};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    works("change a Makefile", "echo x >> late/Makefile").strict(),
    works("empty a build script", "truncate -s 0 late/build.rs").strict(),
    works("remove what scripts stand in", "rm -f late/package.json").strict(),
    works("put another in its place", "echo x > kept; mv kept late/Makefile").strict(),
    works("edit it in place", "sed -i s/kept/x/ late/package.json").strict(),
    works("change it through a link", "ln -s ../late/.envrc fresh/e; echo x > fresh/e").strict(),
    works("change it through a hard link", "ln late/Makefile fresh/h; echo x >> fresh/h").strict(),
    works("move its folder away", "mv late old; mkdir late; echo x > late/Makefile").strict(),
    works("change a workflow", "echo x >> .github/workflows/ci.yml").strict(),
    works("make a workflow", "echo x > .github/workflows/other.yml").strict(),
    works("change an editor's tasks", "echo x > late/.vscode/tasks.json").strict(),
    works("make a file beside an editor's tasks", "echo x > late/.vscode/launch.json").strict(),
    works("make a folder of hooks", "mkdir .husky && echo x > .husky/pre-commit").strict(),
    works("make a Makefile", "echo x > fresh/Makefile").strict(),
    works("make a repository", "git init -q fresh || { mkdir fresh/.git; echo x > fresh/.git/config; }")
        .strict(),
    works("make it at any depth", "mkdir -p fresh/a && echo x > fresh/a/Makefile").strict(),
    works("make what scripts stand in by copying", "cp kept fresh/package.json").strict(),
    works("make a build script by renaming", "echo x > fresh/m; mv fresh/m fresh/build.rs").strict(),
    works("make it by a link", "ln -s ../kept fresh/.envrc").strict(),
    works(
        "make it by a hard link",
        "ln kept fresh/Makefile || { cp kept fresh/k; ln fresh/k fresh/Makefile; }",
    )
    .strict(),
    works("make it through a link to nothing", "ln -s Makefile fresh/x; echo x > fresh/x").strict(),
    works("make it by its folder's descriptor", "exec 9< fresh; echo x > /proc/self/fd/9/Makefile").strict(),
    works("make it by another spelling", "cd fresh && echo x > ../fresh/.././fresh//Makefile").strict(),
    works("make a pipe of its name", "mkfifo fresh/Makefile").strict(),
    works("make an editor's tasks", "mkdir fresh/.vscode; echo x > fresh/.vscode/tasks.json").strict(),
    works(
        "make an editor's folder by renaming",
        "mkdir fresh/v; echo x > fresh/v/tasks.json; mv fresh/v fresh/.vscode",
    )
    .strict(),
    works(
        "name a file that has none",
        "$PYTHON -c '
import os
f = os.open(\"fresh\", os.O_TMPFILE | os.O_WRONLY, 0o644); os.write(f, b\"x\")
os.link(f\"/proc/self/fd/{f}\", \"fresh/Makefile\", src_dir_fd=f, follow_symlinks=True)'",
    )
    .strict(),
    works(
        "make it by the newest call",
        "$PYTHON -c '
import ctypes, os
how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o644, 0)
ctypes.CDLL(None).syscall(437, -100, b\"fresh/Makefile\", how, 24)'",
    )
    .strict(),
];
