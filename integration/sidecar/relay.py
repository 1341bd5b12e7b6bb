"""Passes connections to an address of the namespace on to a Unix socket, which is in all of them."""

import socket
import sys
import threading


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(address, family, path):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 443))
    listener.listen(64)
    while True:
        near, _ = listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


ipv4, ipv6, path = sys.argv[1:]
threading.Thread(target=serve, args=(ipv6, socket.AF_INET6, path), daemon=True).start()
serve(ipv4, socket.AF_INET, path)
