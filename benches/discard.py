#!/usr/bin/env python3
"""discard.py HOST PORT PATH CONNECTIONS SECONDS: fetches PATH over and over on each connection, throws the bytes
away in the kernel (MSG_TRUNC of tcp(7)), and prints bytes and seconds. A loader that costs next to nothing, so
that the server is what is measured."""
import selectors
import socket
import sys
import time

host, port, path, connections, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
ask = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
CHUNK = 4 << 20
sink = bytearray(CHUNK)
select = selectors.DefaultSelector()
left = {}  # socket -> bytes of the answer still to come; None: its head


def head(s):
    """Reads the head alone, and tells how much follows."""
    seen = s.recv(4096, socket.MSG_PEEK)
    end = seen.find(b"\r\n\r\n")
    if not seen or not seen.startswith(b"HTTP/1.1 200"):
        sys.exit(f"no answer: {seen[:80]!r}")
    if end < 0:
        return None
    s.recv(end + 4)
    fields = seen[:end].lower().split(b"\r\n")
    return int(next(f for f in fields if f.startswith(b"content-length:")).split(b":")[1])


for _ in range(connections):
    s = socket.create_connection((host, port))
    s.sendall(ask)
    s.setblocking(False)
    select.register(s, selectors.EVENT_READ)
    left[s] = None
total, began = 0, time.monotonic()
until = began + seconds
while time.monotonic() < until:
    for key, _ in select.select(1):
        s = key.fileobj
        try:
            if left[s] is None:
                left[s] = head(s)
                continue
            n = s.recv_into(sink, min(CHUNK, left[s]), socket.MSG_TRUNC)
        except BlockingIOError:
            continue
        if n == 0:
            sys.exit("the server closed the connection")
        total += n
        left[s] -= n
        if left[s] == 0:
            left[s] = None
            s.sendall(ask)
print(total, time.monotonic() - began)
