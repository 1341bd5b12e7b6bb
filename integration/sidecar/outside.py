"""Dials ports of the namespace from outside, through its interface: `answered` or `silence` for each."""

import fcntl
import os
import select
import socket
import struct
import sys

interface, here = sys.argv[1:3]
there = "10.9.9.8"
tun = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF; IFF_TUN | IFF_NO_PI
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", interface.encode(), 0x1001))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def dial(port):
    source, target = socket.inet_aton(there), socket.inet_aton(here)
    segment = struct.pack(">HHIIBBHHH", 41000, port, 7, 0, 0x50, 0x02, 1024, 0, 0)
    pseudo = source + target + struct.pack(">BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, source, target)
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    os.write(tun, head + segment)
    while select.select([tun], [], [], 1)[0]:
        packet = os.read(tun, 2048)
        if packet[0] >> 4 == 4 and packet[9] == 6 and packet[20:24] == struct.pack(">HH", port, 41000):
            return "answered"
    return "silence"


with socket.socket() as control:
    control.bind((here, 0))
    control.listen()
    print("own", dial(control.getsockname()[1]))
for port in sys.argv[3:]:
    print("sidecar", dial(int(port)))
