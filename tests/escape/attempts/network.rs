//! The network, and sockets of other programs.

use crate::attempt::{Attempt, inside, works, works_for_root};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    works("TCP", "exec 3<>/dev/tcp/127.0.0.1/$TCP && echo x >&3"),
    works(
        "TCP by IPv6",
        "$PYTHON -c '
import os, socket
try: socket.create_connection((\"::1\", int(os.environ[\"TCP\"])), 2)
except OSError: pass
socket.create_connection((\"127.0.0.1\", int(os.environ[\"TCP\"])), 2)'",
    ),
    works(
        "TCP by another loopback",
        "$PYTHON -c '
import os, socket
socket.create_connection((\"127.1.2.3\", int(os.environ[\"TCP\"])), 2)'",
    ),
    works(
        "TCP with data at once",
        "$PYTHON -c '
import os, socket
s = socket.socket()
try: s.sendto(b\"x\", 0x20000000, (\"127.0.0.1\", int(os.environ[\"TCP\"])))
except OSError: s.connect((\"127.0.0.1\", int(os.environ[\"TCP\"])))'",
    ),
    works(
        "MPTCP",
        "$PYTHON -c '
import os, socket
try: s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError: s = socket.socket()
s.connect((\"127.0.0.1\", int(os.environ[\"TCP\"])))'",
    ),
    works("UDP", "echo x > /dev/udp/127.0.0.1/$UDP"),
    works(
        "UDP, many at once",
        "$PYTHON -c '
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendmsg([b\"x\"], [], 0, (\"127.0.0.1\", int(os.environ[\"UDP\"])))'",
    ),
    works("by curl", "curl -s -m 2 http://127.0.0.1:$TCP/ || exec 3<>/dev/tcp/127.0.0.1/$TCP"),
    works(
        "by curl with another proxy",
        "curl -s -m 2 --proxy http://127.0.0.1:$TCP http://example.com/; curl -s -m 2 --socks5 127.0.0.1:$TCP http://example.com/",
    ),
    inside(
        "names",
        "$PYTHON -c '
import socket
socket.setdefaulttimeout(2)
print(socket.getaddrinfo(\"example.com\", 80) and \"planted-secret\")'",
    ),
    works_for_root(
        "packets",
        "$PYTHON -c '
import socket
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3); print(\"planted-secret\")'",
    ),
    works_for_root(
        "raw",
        "$PYTHON -c '
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
s.sendto(b\"x\" * 8, (\"127.0.0.1\", 0)); print(\"planted-secret\")'",
    ),
    works(
        "netlink",
        "$PYTHON -c '
import socket
for protocol in (9, 15, 4, 16):
    try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol); print(\"planted-secret\")
    except OSError: pass'",
    ),
    inside(
        "vsock",
        "$PYTHON -c '
import socket
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM); s.settimeout(2); print(\"planted-secret\")'",
    ),
    inside(
        "bluetooth, alg, tipc, can, xdp",
        "$PYTHON -c '
import socket
for family in (31, 38, 30, 29, 44, 17, 40, 5, 9):
    try: socket.socket(family, socket.SOCK_RAW); print(\"planted-secret\", family)
    except OSError: pass'",
    ),
    works(
        "local socket",
        "$PYTHON -c '
import os, socket
socket.socket(socket.AF_UNIX).connect(os.environ[\"STREAM\"])'",
    ),
    works(
        "local socket through a link",
        "$PYTHON -c '
import os, socket
os.symlink(os.environ[\"STREAM\"], \"s\"); socket.socket(socket.AF_UNIX).connect(\"s\")'",
    ),
    works(
        "local socket by descriptor",
        "$PYTHON -c '
import os, socket
fd = os.open(os.path.dirname(os.environ[\"STREAM\"]), os.O_PATH)
socket.socket(socket.AF_UNIX).connect(\"/proc/self/fd/%d/stream\" % fd)'",
    ),
    works(
        "local datagrams",
        "$PYTHON -c '
import os, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"x\", os.environ[\"DATAGRAM\"])'",
    ),
    works(
        "local datagrams from a pair",
        "$PYTHON -c '
import os, socket
try: one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
except OSError: one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(b\"x\", os.environ[\"DATAGRAM\"])'",
    ),
    works(
        "abstract socket",
        "$PYTHON -c '
import os, socket
socket.socket(socket.AF_UNIX).connect(\"\\0\" + os.environ[\"ABSTRACT\"])'",
    ),
    works(
        "local socket, with the network open",
        "$PYTHON -c '
import os, socket
socket.socket(socket.AF_UNIX).connect(os.environ[\"STREAM\"])'",
    )
    .with_network(),
    works(
        "abstract socket, with the network open",
        "$PYTHON -c '
import os, socket
socket.socket(socket.AF_UNIX).connect(\"\\0\" + os.environ[\"ABSTRACT\"])'",
    )
    .with_network(),
    works(
        "local datagrams, with the network open",
        "$PYTHON -c '
import os, socket
try: one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
except OSError: one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(b\"x\", os.environ[\"DATAGRAM\"])'",
    )
    .with_network(),
    works_for_root(
        "packets, with the network open",
        "$PYTHON -c '
import socket
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3); print(\"planted-secret\")'",
    )
    .with_network(),
    works_for_root(
        "raw, with the network open",
        "$PYTHON -c '
import socket
socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b\"x\" * 8, (\"127.0.0.1\", 0)); print(\"planted-secret\")'",
    )
    .with_network(),
    works(
        "netlink, with the network open",
        "$PYTHON -c '
import socket
for protocol in (9, 15, 4, 16):
    try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol); print(\"planted-secret\")
    except OSError: pass'",
    )
    .with_network(),
    works("read the settings, with the network open", "cat $SETTINGS").with_network(),
    works("kill, with the network open", "kill -9 $VICTIM").with_network(),
    works("write outside, with the network open", "echo x > $OUT/new").with_network(),
    inside(
        "the switches of the network, with the network open",
        "echo 1 > /proc/sys/net/ipv4/ip_forward && echo planted-secret; ip link add dummy7 type dummy && echo planted-secret; true",
    )
    .with_network(),
    inside(
        "socket of containers",
        "for s in /run/docker.sock /var/run/docker.sock /run/podman/podman.sock /run/containerd/containerd.sock /run/dbus/system_bus_socket; do curl -s -m 1 --unix-socket $s http://x/_ping && echo planted-secret; done; true",
    ),
    inside(
        "the switches of the network",
        "echo 1 > /proc/sys/net/ipv4/ip_forward && [ \"$(readlink /proc/self/ns/net)\" = \"$NET\" ] && echo planted-secret; true",
    ),
    works(
        "come up again",
        "ip link set eth0 up 2>&1; ip route add default dev lo; exec 3<>/dev/tcp/127.0.0.1/$TCP",
    ),
];
