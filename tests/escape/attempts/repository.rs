//! What runs later, or decides what may run: repositories, agents' folders.

use crate::attempt::{Attempt, works};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    works(
        "plant a hook",
        "echo x > .git/hooks/post-checkout || { mkdir -p .git/hooks; echo x > .git/hooks/post-checkout; }",
    ),
    works("configure git", "git config core.fsmonitor /bin/true"),
    works("configure git by hand", "echo '[core]' >> .git/config"),
    works("configure a worktree", "echo x > .git/config.worktree"),
    works("another common folder", "echo ../evil > .git/commondir"),
    works("alternates", "mkdir -p .git/objects/info; echo /tmp > .git/objects/info/alternates"),
    works("attributes", "mkdir -p .git/info; echo '* filter=x' > .git/info/attributes"),
    works("a module's configuration", "mkdir -p .git/modules/m; echo x > .git/modules/m/config"),
    works("move the repository away", "mv .git old"),
    works("move the repository and make another", "mv .git old; mkdir .git; echo x > .git/config"),
    works("a pointer in place of the repository", "rm -rf .git; echo 'gitdir: evil' > .git"),
    works("a link in place of the repository", "rm -rf .git; ln -s evil .git"),
    works("the head", "echo evil > .git/HEAD"),
    works("the repository through a link", "ln -s .git g; echo x > g/config"),
    works("the repository by another spelling", "cd /proc/self/cwd/./.git/../.git && echo x > config"),
    works("remove the repository", "rm -rf .git"),
    works("configure a repository in the workspace", "git -C nested config core.fsmonitor /bin/true"),
    works("configure a repository in the workspace by hand", "echo '[core]' >> nested/.git/config"),
    works(
        "plant a hook in a repository in the workspace",
        "mkdir -p nested/.git/hooks; echo x > nested/.git/hooks/post-checkout",
    ),
    works("move a repository in the workspace away", "mv nested old"),
    works("move its folder for git away", "mv nested/.git nested/old"),
    works("settings of Skein", "mkdir -p .skein && echo x > .skein/config.toml"),
    works(
        "settings of other agents",
        "for name in .codex .claude .agents .vscode; do mkdir $name; echo x > $name/settings; done",
    ),
    works("settings by renaming", "mkdir made; echo x > made/config.toml; mv made .skein"),
    works("settings by a link", "mkdir made; ln -s made .skein"),
    works("settings by a hard link", "echo x > made; ln made .claude"),
    works(
        "the protected folder that is there",
        "echo x > .claude/new || { mkdir .claude; echo x > .claude/new; }",
    ),
];
