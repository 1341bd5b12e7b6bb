"""A name server: every name has one address, 10.9.9.9."""

import socket
import struct

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("10.9.9.9", 53))
while True:
    query, peer = server.recvfrom(2048)
    end = query.index(b"\0", 12) + 5
    is_address = query[end - 4 : end - 2] == b"\0\1"
    answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 9, 9, 9])
    head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_address), 0, 0)
    server.sendto(head + query[12:end] + (answer if is_address else b""), peer)
