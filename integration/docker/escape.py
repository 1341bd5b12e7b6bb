"""Every way past the sidecar that an agent could try. One line each: `NAME RESULT`.

RESULT is who answered ("outside", "interceptor"), the error's name, or "done" for what should not be possible.
Arguments: an IPv4 and an IPv6 address of the outside, the host name of a provider.
"""

import ctypes
import errno
import os
import socket
import ssl
import struct
import sys

V4, V6, NAME = sys.argv[1:4]
SO_MARK, SO_BINDTODEVICE, IP_TRANSPARENT, IPV6_TRANSPARENT = 36, 25, 19, 75
NETLINK_NETFILTER, IPPROTO_MPTCP, TCP_REPAIR, TCP_FASTOPEN_CONNECT = 12, 262, 19, 30
CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, action):
    try:
        result = action()
    except ssl.SSLError as error:
        result = "tls-" + str(error.reason).lower()
    except socket.timeout:
        result = "timeout"
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error))
    print(name, result, flush=True)


def answers(connection):
    """Whose certificate is shown for the provider's name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connection, server_hostname=NAME) as tls:
        certificate = tls.getpeercert(binary_form=True)
    return "outside" if b"Upstream Test CA" in certificate else "interceptor"


def connect(address, prepare=lambda made: None, protocol=0, limit=10):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, protocol)
    made.settimeout(limit)
    prepare(made)
    made.connect((address, 443))
    return answers(made)


def option(level, name, value):
    return lambda made: made.setsockopt(level, name, value)


def opened(family, kind, protocol):
    socket.socket(family, kind, protocol).close()
    return "done"


def datagram(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.connect((address, 443))
    try:
        made.send(b"x")
        made.recv(16)
    except (ConnectionRefusedError, PermissionError):
        # Of this call or of the one before: the kernel says it once.
        return "refused"
    return "outside"


def delete_the_rules():
    """A batch of nf_tables that deletes every table (libnftnl's `nft flush ruleset`)."""

    def message(kind, flags, family, resource):
        return struct.pack("=IHHII", 20, kind, flags, 1, 0) + struct.pack(">BBH", family, 0, resource)

    request, acknowledge, nf_tables, delete_table = 1, 4, 10, 2
    batch = (
        message(0x10, request, 0, nf_tables)
        + message(nf_tables << 8 | delete_table, request | acknowledge, 0, 0)
        + message(0x11, request, 0, nf_tables)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as made:
        made.settimeout(5)
        made.bind((0, 0))
        made.send(batch)
        answer = made.recv(8192)
    code = -struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(code, "refused")
    return "done"


def as_user(uid):
    os.setuid(uid)
    return "done"


def in_a_child(action):
    """For what cannot be taken back."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        try:
            print(action(), flush=True)
        except OSError as error:
            print(errno.errorcode.get(error.errno, str(error)), flush=True)
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read().strip() or "nothing"


def marked_in_a_namespace():
    """Root of a user namespace of its own has capabilities, but not over the pod's network."""
    uid = os.getuid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with open("/proc/self/uid_map", "w") as file:
        file.write(f"0 {uid} 1")
    return connect(V4, option(socket.SOL_SOCKET, SO_MARK, 1))


def written(path):
    with open(path, "w") as file:
        file.write("1")
    return "done"


attempt("direct", lambda: connect(V4))
attempt("direct-v6", lambda: connect(V6))
attempt("mapped-v4", lambda: connect("::ffff:" + V4))
attempt("mptcp", lambda: connect(V4, protocol=IPPROTO_MPTCP))
attempt("fast-open", lambda: connect(V4, option(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)))
attempt("bound-to-device", lambda: connect(V4, option(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0"), limit=2))
attempt("bound-to-device-v6", lambda: connect(V6, option(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0"), limit=2))
attempt("mark", lambda: connect(V4, option(socket.SOL_SOCKET, SO_MARK, 1)))
attempt("mark-in-a-namespace", lambda: in_a_child(marked_in_a_namespace))
attempt("rules", delete_the_rules)
attempt("transparent", lambda: connect(V4, option(socket.SOL_IP, IP_TRANSPARENT, 1)))
attempt("transparent-v6", lambda: connect(V6, option(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)))
attempt("tcp-repair", lambda: connect(V4, option(socket.IPPROTO_TCP, TCP_REPAIR, 1)))
attempt("raw", lambda: opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
attempt("raw-v6", lambda: opened(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP))
attempt("packet", lambda: opened(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
attempt("udp", lambda: datagram(V4))
attempt("udp-v6", lambda: datagram(V6))
attempt("sidecars-user", lambda: in_a_child(lambda: as_user(65532)))
attempt("sysctl", lambda: written("/proc/sys/net/ipv4/ip_forward"))
