//! Other processes: signals, memory, namespaces, descendants that stay, the environment.

use crate::attempt::{Attempt, inside, works, works_for_root};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    works("kill by number", "kill -9 $VICTIM"),
    works("stop by number", "kill -STOP $VICTIM"),
    inside("kill everybody", "kill -9 -1"),
    works(
        "kill by descriptor",
        "$PYTHON -c '
import os, signal
signal.pidfd_send_signal(os.pidfd_open(int(os.environ[\"VICTIM\"])), signal.SIGKILL)'",
    ),
    works("nice", "renice -n 7 -p $VICTIM").admitted_by_landlock("the priority of the user's other processes"),
    works("the killer's choice", "echo 777 > /proc/$VICTIM/oom_score_adj"),
    works(
        "trace",
        "$PYTHON -c '
import ctypes, os
libc = ctypes.CDLL(None)
pid = int(os.environ[\"VICTIM\"])
if libc.ptrace(16, pid, 0, 0) == 0:
    os.waitpid(pid, 0x40000000)
    libc.ptrace(8, pid, 0, 0)'",
    ),
    works(
        "read the environment of others",
        "cat /proc/$VICTIM/environ; for pid in /proc/[0-9]*; do cat $pid/environ; done | tr '\\0' '\\n'",
    ),
    works(
        "read the memory of others",
        "$PYTHON -c '
import os
pid = os.environ[\"VICTIM\"]
for line in open(\"/proc/%s/maps\" % pid):
    if \"[stack]\" in line:
        start, end = (int(part, 16) for part in line.split()[0].split(\"-\"))
        memory = open(\"/proc/%s/mem\" % pid, \"rb\"); memory.seek(start)
        print(memory.read(end - start).replace(b\"\\0\", b\"\\n\").decode(\"latin1\"))'",
    ),
    works(
        "read the memory by the other call",
        "$PYTHON -c '
import ctypes, os
pid = int(os.environ[\"VICTIM\"])
line = next(line for line in open(\"/proc/%d/maps\" % pid) if \"[stack]\" in line)
start, end = (int(part, 16) for part in line.split()[0].split(\"-\"))
buffer = ctypes.create_string_buffer(end - start)
class V(ctypes.Structure): _fields_ = [(\"base\", ctypes.c_void_p), (\"len\", ctypes.c_size_t)]
here, there = V(ctypes.addressof(buffer), end - start), V(start, end - start)
ctypes.CDLL(None).process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
print(buffer.raw.replace(b\"\\0\", b\"\\n\").decode(\"latin1\"))'",
    ),
    works(
        "descriptors of others",
        "$PYTHON -c '
import ctypes, os
libc = ctypes.CDLL(None)
for fd in range(64):
    if libc.syscall(438, libc.syscall(434, int(os.environ[\"VICTIM\"]), 0), fd, 0) >= 0: print(\"planted-secret\")'",
    ),
    works("limits of others", "prlimit --pid $VICTIM --nofile=5:5"),
    works("keys of the environment", "env"),
    works("keys of the parents", "for pid in 1 $PPID; do tr '\\0' '\\n' < /proc/$pid/environ; done; env"),
    inside(
        "inherited descriptors",
        "for fd in /proc/self/fd/*; do case $fd in */[0-9]) ;; *) echo planted-secret;; esac; done; ls -l /proc/self/fd | grep -q socket: && echo planted-secret",
    ),
    works("stay: background", "sleep 7001 & exit 0"),
    works(
        "stay: double fork",
        "(setsid sh -c 'sleep 7002 & sleep 7002' > /dev/null 2>&1 < /dev/null &); exit 0",
    ),
    works(
        "stay: ignores signals",
        "setsid sh -c \"trap '' TERM HUP INT; while :; do sleep 70; done\" > /dev/null 2>&1 < /dev/null & exit 0",
    ),
    works("stay: closed streams", "(sleep 7003 <&- >&- 2>&- &); exit 0"),
    works(
        "stay: daemon",
        "$PYTHON -c '
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 64); time.sleep(700)
    os._exit(0)'",
    ),
    works(
        "new user namespace",
        "unshare -Ur sh -c 'echo x > $OUT/new; mount -t tmpfs x /mnt && echo planted-secret'",
    ),
    works_for_root("new mount namespace", "unshare -m mount --bind /tmp $OUT && echo planted-secret"),
    works(
        "by clone",
        "$PYTHON -c '
import ctypes
libc = ctypes.CDLL(None)
if libc.unshare(0x10000000) == 0: print(\"planted-secret\")'",
    ),
    works_for_root(
        "namespaces of others",
        "nsenter -t 1 -m -p echo planted-secret; nsenter -t $VICTIM -m -n echo planted-secret",
    ),
    works_for_root(
        "a new root",
        "mkdir -p root; pivot_root . root && echo planted-secret; $PYTHON -c 'import os; os.chroot(\"root\"); print(\"planted-secret\")'",
    ),
    inside(
        "mount again",
        "mount -o remount,rw / && echo planted-secret; mount -o remount,rw,bind $OUT && echo planted-secret; umount -l $OUT; umount -l $HOME; echo x > $OUT/new",
    ),
    works("unmount what hides", "umount -l $(dirname $SETTINGS); cat $SETTINGS"),
    works_for_root("set-user-id programs", "su -c 'echo x > $OUT/new' < /dev/null; sudo -n touch $OUT/new"),
    works_for_root(
        "capabilities",
        "grep -E 'Cap(Eff|Prm):' /proc/self/status | grep -qv 0000000000000000 && echo planted-secret; true",
    ),
    works("new privileges", "grep -q 'NoNewPrivs:.0' /proc/self/status && echo planted-secret"),
    works(
        "a thousand forks",
        "b() { [ $1 -gt 8 ] || { b $(($1 + 1)) & b $(($1 + 1)); wait; }; }; b 0 2> /dev/null; setsid sleep 7004 &",
    ),
    inside(
        "many that stay",
        "$PYTHON -c '
import os, time
for _ in range(1500):
    try:
        if os.fork() == 0: time.sleep(600); os._exit(0)
    except OSError: break'",
    ),
];
