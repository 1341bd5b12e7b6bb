"""What an agent tries, one line for each attempt: its name, and `done` or the error's name."""

import errno
import socket
import struct
import sys


def attempt(name, action):
    try:
        action()
        print(name, "done")
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, str(error)))


def connect(address, port=443, kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as own:
        own.settimeout(3)
        own.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            own.send(b"x")
            own.recv(1)


def mark():
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)


def delete_table():
    """One batch of nf_tables messages that deletes the sidecar's table."""

    def message(kind, flags, family, resource, body=b""):
        head = struct.pack("=IHHII", 20 + len(body), kind, flags, 1, 0)
        return head + struct.pack(">BBH", family, 0, resource) + body

    name = b"authsome_sidecar\0"
    attribute = struct.pack("=HH", 4 + len(name), 1) + name + b"\0" * (-len(name) % 4)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as own:
        own.bind((0, 0))
        batch = message(16, 1, 0, 10) + message(0xA02, 5, 1, 0, attribute) + message(17, 1, 0, 10)
        own.send(batch)
        code = struct.unpack_from("=i", own.recv(4096), 16)[0]
        if code:
            raise OSError(-code, "refused")


ATTEMPTS = {
    "mark": mark,
    "rules": delete_table,
    "raw4": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "raw6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3),
    "udp4": lambda: connect("203.0.113.5", kind=socket.SOCK_DGRAM),
    "udp6": lambda: connect("2001:db8:7::1", kind=socket.SOCK_DGRAM),
    "tcp4": lambda: connect("203.0.113.5"),
    "tcp6": lambda: connect("2001:db8:7::1"),
    "mapped": lambda: connect("::ffff:203.0.113.5"),
    "web": lambda: connect("203.0.113.5", 80),
}
for wanted in sys.argv[1:]:
    attempt(wanted, ATTEMPTS[wanted])
