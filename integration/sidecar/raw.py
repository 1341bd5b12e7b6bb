"""Sends segments by raw sockets, none of which begins a connection, and looks what leaves through the
interface: `left` or `stayed` for each."""

import fcntl
import os
import select
import socket
import struct
import sys

tun = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF; IFF_TUN | IFF_NO_PI
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), 0x1001))
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


def segment(port, flags):
    return struct.pack(">HHIIBBHHH", 40000, port, 1, 1, 0x50, flags, 1024, 0, 0)


def leaves(address, protocol, port, payload):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, protocol) as own:
        try:
            own.sendto(payload, (address, 0))
        except PermissionError:
            pass
    while select.select([tun], [], [], 0.5)[0]:
        packet = os.read(tun, 2048)
        start = 20 if packet[0] >> 4 == 4 else 40
        if packet[start + 2 : start + 4] == struct.pack(">H", port):
            return "left"
    return "stayed"


# Somebody reads the interface from now on; until it is up, nothing leaves.
for _ in range(20):
    if leaves("203.0.113.5", TCP, 80, segment(80, 0x10)) == "left":
        break
for address in ("203.0.113.5", "2001:db8:7::1"):
    print("web", leaves(address, TCP, 80, segment(80, 0x10)))
    print("ack", leaves(address, TCP, 443, segment(443, 0x10)))
    print("rst", leaves(address, TCP, 443, segment(443, 0x04)))
    print("udp", leaves(address, UDP, 443, struct.pack(">HHHH", 40000, 443, 8, 0)))
