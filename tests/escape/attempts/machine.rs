//! The kernel's rarer calls, terminals, shared memory, and what can be used up.

use crate::attempt::{Attempt, inside, works, works_for_root};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    inside("core pattern", "echo '|/bin/evil' > /proc/sys/kernel/core_pattern"),
    inside("host name", "hostname skein-was-here"),
    inside("host name by /proc", "echo skein-was-here > /proc/sys/kernel/hostname; true"),
    inside("kernel switches", "echo 1 > /proc/sys/kernel/panic_on_oops && echo planted-secret; echo b > /proc/sysrq-trigger && echo planted-secret; true"),
    inside("control groups", "echo 1 > /sys/fs/cgroup/cgroup.procs && echo planted-secret; mkdir /sys/fs/cgroup/skein-escape && echo planted-secret; true"),
    inside("firmware and modules", "insmod x; modprobe dummy; for f in /sys/kernel/uevent_helper /proc/sys/kernel/modprobe; do echo /bin/evil > $f && echo planted-secret; done; true"),
    inside("the clock", "date -s 2001-01-01 && echo planted-secret; true"),
    inside("restart", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).reboot(0) == 0: print(\"planted-secret\")'"),
    works("io_uring", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(425, 4, ctypes.create_string_buffer(120)) >= 0: print(\"planted-secret\")'"),
    works_for_root("bpf", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(321, 0, ctypes.create_string_buffer(b\"\\1\\0\\0\\0\\4\\0\\0\\0\\4\\0\\0\\0\\1\" + b\"\\0\" * 100, 120), 120) >= 0: print(\"planted-secret\")'"),
    works_for_root("perf", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(298, ctypes.create_string_buffer(b\"\\1\\0\\0\\0\\x70\\0\\0\\0\" + b\"\\0\" * 104, 112), 0, -1, -1, 0) >= 0: print(\"planted-secret\")'"),
    works("userfaultfd", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(323, 1) >= 0: print(\"planted-secret\")'"),
    works("key rings", "$PYTHON -c '
import ctypes
libc = ctypes.CDLL(None)
if libc.syscall(250, 0, -4, 0) >= 0 or libc.syscall(248, b\"user\", b\"skein\", b\"x\", 1, -4) >= 0: print(\"planted-secret\")'"),
    inside("kexec", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(246, 0, 0, 0, 0) >= 0: print(\"planted-secret\")'"),
    inside("calls of another architecture", "$PYTHON -c '
import ctypes
if ctypes.CDLL(None).syscall(0x40000000 + 39) > 0: print(\"planted-secret\")'"),
    works_for_root("type into the terminal", "$PYTHON -c '
import fcntl, os, pty
master, slave = pty.openpty()
if os.fork() == 0:
    os.setsid(); fcntl.ioctl(slave, 0x540e, 0)
    try: fcntl.ioctl(slave, 0x5412, b\"x\"); print(\"planted-secret\", flush=True)
    except OSError: pass
    os._exit(0)
os.wait()'"),
    inside("paste into the console", "$PYTHON -c '
import fcntl
for name in (\"/dev/tty\", \"/dev/console\", \"/dev/tty1\"):
    try: fcntl.ioctl(open(name), 0x541c, b\"\\3\"); print(\"planted-secret\")
    except OSError: pass'"),
    works("terminals of others", "for t in /dev/pts/*; do case $t in */ptmx) ;; *) echo > $t && echo planted-secret;; esac; done; echo x > $OUT/new"),
    works("shared memory by name", "echo x > /dev/shm/$MARK"),
    works("shared memory of System V", "ipcmk -M 64 -p 0666 > /dev/null"),
    works("message queue", "$PYTHON -c '
import ctypes, os
library, name = ctypes.CDLL(\"librt.so.1\"), (\"/\" + os.environ[\"MARK\"]).encode()
own = os.readlink(\"/proc/self/ns/ipc\") != os.environ[\"IPC\"]
if library.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None) >= 0 and not own: print(\"planted-secret\")
library.mq_unlink(name)'"),
    works("programs planted for Skein", "for name in bwrap git sh true; do printf '#!/bin/sh\\necho x > %s/new\\n' $OUT > $name; chmod +x $name; done; PATH=.:$PATH git status; $SKEIN sandbox -- true"),
    works("a second Skein", "$SKEIN sandbox --policy danger-full-access -- sh -c 'echo x > $OUT/new'"),
    works("the helper by hand", "$SKEIN __sandbox < /dev/null; echo x > $OUT/new; $SKEIN daemon start"),
    works("escape sequences", "printf '\\033]0;owned\\007\\033]52;c;eA==\\007\\033[6n\\033c'; echo x > $OUT/new"),
    inside("flood of output", "timeout 3 yes flood | head -c 50000000"),
    inside("a long line", "head -c 20000000 /dev/zero | tr '\\0' x"),
    works("a large file outside", "fallocate -l 8M $OUT/large; dd if=/dev/zero of=$OUT/large bs=1M count=1"),
    works("memory", "$PYTHON -c '
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
try: x = bytearray(1 << 30)
except MemoryError: pass'; echo x > $OUT/new"),
    inside("lift the limits", "$PYTHON -c '
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
if hard == 0:
    try: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)); print(\"planted-secret\")
    except (OSError, ValueError): pass'"),
];
