"""A name server inside a sandbox, on its loopback: knows no name and writes down each that is asked for, as a
JSON line.

Rule: standard library only; the process that was called ends once the server listens.
"""

import json
import os
import socket

NXDOMAIN = b"\x81\x83"


def name(query: bytes) -> str:
    labels, at = [], 12
    while at < len(query) and (length := query[at]):
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels)


def main() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    if os.fork():
        return
    os.setsid()
    while True:
        query, asker = server.recvfrom(4096)
        print(json.dumps({"looked_up": name(query)}), flush=True)
        server.sendto(query[:2] + NXDOMAIN + query[4:6] + bytes(6) + query[12:], asker)


if __name__ == "__main__":
    main()
