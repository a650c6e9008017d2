//! Files outside of the workspace: by path, link, rename, descriptor and odd calls.

use crate::attempt::{Attempt, inside, works, works_for_root};

/// What Landlock says of itself.
const METADATA: &str = "modes, owners, times and extended attributes of the user's own files can be changed";

pub(crate) const ATTEMPTS: &[Attempt] = &[
    works("read keys and credentials of other tools", "find ~ -type f -exec cat {} +; ls ~/.aws ~/.kube"),
    works("read them through links", "ln -s ~/.aws one; ln -s ~/.netrc two; cat one/credentials two"),
    works("write by absolute path", "echo x > $OUT/new"),
    works("write by relative path", "echo x > ../outside/new"),
    works("write in a read-only workspace", "echo x > $OUT/new; echo x > made; echo x > .git/made")
        .read_only(),
    works("overwrite", "echo x > $OUT/kept"),
    works("append", "echo x >> $OUT/kept"),
    works("truncate", "truncate -s 0 $OUT/kept"),
    works("remove", "rm -f $OUT/kept"),
    works("make a folder", "mkdir $OUT/folder"),
    works("remove a folder", "rmdir $OUT/empty"),
    works("make a pipe", "mkfifo $OUT/pipe"),
    works("write into a pipe", "timeout 2 sh -c 'echo planted-secret > $OUT/fifo'"),
    works_for_root(
        "make a device",
        "mknod $OUT/device c 1 3; mknod device b 8 0 && dd if=device of=stolen count=1",
    ),
    works("make a link", "ln -s /etc $OUT/link"),
    works("make a hard link", "ln kept $OUT/hard"),
    works("write through a link", "ln -s $OUT/kept inner; echo x > inner"),
    works("write through a link to a folder", "ln -s $OUT inner; echo x > inner/new"),
    works("write through a chain of links", "ln -s $OUT one; ln -s one two; echo x > two/new"),
    works("write through a hard link", "ln $OUT/kept inner; echo x > inner"),
    works("rename out", "echo x > moved; mv moved $OUT/moved"),
    works("rename in", "mv $OUT/kept taken"),
    works("rename the folder", "mv $OUT ../elsewhere"),
    works("rename the workspace", "cd ..; mv work away; mkdir work"),
    works(
        "exchange",
        "$PYTHON -c '
import ctypes, os
open(\"mine\", \"w\").write(\"x\")
ctypes.CDLL(None).renameat2(-100, b\"mine\", -100, os.environ[\"OUT\"].encode() + b\"/kept\", 2)'",
    ),
    works(
        "unnamed file, then a name",
        "$PYTHON -c '
import ctypes, os
out = os.environ[\"OUT\"]
try: fd = os.open(out, os.O_TMPFILE | os.O_RDWR, 0o600)
except OSError: fd = os.open(\".\", os.O_TMPFILE | os.O_RDWR, 0o600)
ctypes.CDLL(None).linkat(-100, b\"/proc/self/fd/%d\" % fd, -100, out.encode() + b\"/named\", 0x400)'",
    ),
    works("root of the process", "echo x > /proc/self/root$OUT/new"),
    works("folder of the process", "echo x > /proc/self/cwd/../outside/new"),
    works("descriptor of a folder", "exec 7< $OUT; echo x > /proc/self/fd/7/new"),
    works("a descriptor opened again for writing", "exec 7< $OUT/kept; echo x > /proc/self/fd/7"),
    works("root of the parent", "for pid in /proc/[0-9]*; do echo x > $pid/root$OUT/new; done"),
    works(
        "folders of all processes",
        "for pid in /proc/[0-9]*; do echo x > $pid/cwd$OUT/new; echo x > $pid/cwd/../outside/new; done",
    ),
    works(
        "descriptors of all processes",
        "for fd in /proc/[0-9]*/fd/*; do case $(readlink $fd) in $OUT*) echo x >> $fd;; esac; done; echo x > $OUT/new",
    ),
    works("mode", "chmod 777 $OUT/kept").admitted_by_landlock(METADATA),
    works("times", "touch -d 2001-01-01 $OUT/kept").admitted_by_landlock(METADATA),
    works("owner", "chown 77 $OUT/kept 2> /dev/null || chown $(id -u) $OUT/kept")
        .admitted_by_landlock(METADATA),
    works("mode, where nothing may be written", "chmod 777 $OUT/kept").read_only(),
    works("times, where nothing may be written", "touch -d 2001-01-01 $OUT/kept").read_only(),
    works("set-user-id bit", "chmod 4755 $OUT/kept").admitted_by_landlock(METADATA),
    works(
        "extended attribute",
        "$PYTHON -c 'import os; os.setxattr(os.environ[\"OUT\"] + \"/kept\", \"user.x\", b\"1\")'",
    )
    .admitted_by_landlock(METADATA),
    works("allocate", "fallocate -l 4096 $OUT/kept"),
    works(
        "copy in the kernel",
        "$PYTHON -c '
import os
source = os.open(\"/etc/hostname\", os.O_RDONLY)
os.copy_file_range(source, os.open(os.environ[\"OUT\"] + \"/kept\", os.O_WRONLY), 3)'",
    ),
    works(
        "map and write",
        "$PYTHON -c '
import mmap, os
fd = os.open(os.environ[\"OUT\"] + \"/kept\", os.O_RDWR)
mmap.mmap(fd, 4)[0:1] = b\"x\"'",
    ),
    works(
        "two swap a folder for a link",
        "$PYTHON -c '
import os, threading
os.mkdir(\"d\")
os.symlink(os.environ[\"OUT\"], \"l\")
def swap():
    for _ in range(3000):
        try:
            os.rename(\"d\", \"t\"); os.rename(\"l\", \"d\"); os.rename(\"d\", \"l\"); os.rename(\"t\", \"d\")
        except OSError: pass
thread = threading.Thread(target=swap); thread.start()
while thread.is_alive():
    try: open(\"d/new\", \"w\").close()
    except OSError: pass
thread.join()'",
    ),
    works("read the settings of Skein", "cat $SETTINGS"),
    works("read the settings through a link", "ln -s $SETTINGS link; cat link"),
    works("read the settings by /proc", "cat /proc/self/root$SETTINGS"),
    works_for_root(
        "a file handle",
        "$PYTHON -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
handle = ctypes.create_string_buffer(b\"\\x80\" + b\"\\0\" * 199, 200); handle[0] = 128
mount = ctypes.c_int()
libc.name_to_handle_at(-100, os.environ[\"OUT\"].encode() + b\"/kept\", handle, ctypes.byref(mount), 0)
fd = libc.open_by_handle_at(os.open(\"/\", os.O_RDONLY), handle, os.O_RDWR)
os.write(fd, b\"x\")'",
    ),
    inside(
        "a loop device",
        "dd if=/dev/zero of=image bs=1M count=1; losetup -f image && losetup -a; mount image /mnt",
    ),
    inside(
        "raw disk",
        "for disk in /dev/vda /dev/sda /dev/mem /dev/kmem /dev/port; do head -c 1 $disk && echo planted-secret; done",
    ),
];
