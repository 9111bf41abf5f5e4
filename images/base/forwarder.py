"""Owns the way out of a sandbox: bytes from a loopback TCP port to the door and back. Rule: stdlib only; it
looks at no byte.
"""

import selectors
import socket
import sys

CHUNK_BYTES = 128 << 10
CONNECT_TIMEOUT_S = 5.0  # a full backlog of the door; everything else answers at once
BACKLOG = 128
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Half:
    """One direction of a link. It reads only when everything read before is written: the sender feels the
    receiver's pace.
    """

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.pending = b""
        self.ended = False

    def pull(self) -> None:
        data = self.source.recv(CHUNK_BYTES)
        self.ended = not data
        self.pending = data
        self.push()

    def push(self) -> None:
        if self.pending:
            try:
                self.pending = self.pending[self.target.send(self.pending) :]
            except BlockingIOError:
                return
        if self.ended and not self.pending:
            self.target.shutdown(socket.SHUT_WR)  # half-close: an answer may still come the other way

    @property
    def done(self) -> bool:
        return self.ended and not self.pending


class Link:
    """A client's connection and its connection to the door."""

    def __init__(self, client: socket.socket, door: socket.socket) -> None:
        self.ends = (client, door)
        self.halves = {client: Half(client, door), door: Half(door, client)}

    def act(self, end: socket.socket, mask: int) -> bool:
        """Move what can move. Return False once the link is over."""
        other = self.ends[0] if end is self.ends[1] else self.ends[1]
        try:
            if mask & WRITE:
                self.halves[other].push()
            if mask & READ and not self.halves[end].pending:
                self.halves[end].pull()
        except BlockingIOError:
            return True
        except OSError:
            return False
        return not all(half.done for half in self.halves.values())

    def wants(self, end: socket.socket) -> int:
        other = self.ends[0] if end is self.ends[1] else self.ends[1]
        reading = READ if not self.halves[end].ended and not self.halves[end].pending else 0
        return reading | (WRITE if self.halves[other].pending else 0)


class Forwarder:
    def __init__(self, listener: socket.socket, door: str) -> None:
        self.listener = listener
        self.door = door
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, READ)

    def run(self) -> None:
        while True:
            for key, mask in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                elif self.selector.get_map().get(key.fd) is key:  # else its link was closed in this round
                    self.serve(key.data, key.fileobj, mask)

    def accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        try:
            door = dial(self.door)
        except OSError as error:  # the server restarts: the client sees a closed connection and may try again
            print(f"forwarder: {self.door}: {error}", file=sys.stderr, flush=True)
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, door)
        for end in link.ends:
            end.setblocking(False)
            self.selector.register(end, READ, link)

    def serve(self, link: Link, end: socket.socket, mask: int) -> None:
        alive = link.act(end, mask)
        for each in link.ends:
            self.watch(each, link, link.wants(each) if alive else 0)
            if not alive:
                each.close()

    def watch(self, end: socket.socket, link: Link, wants: int) -> None:
        key = self.selector.get_map().get(end.fileno())
        if key is None:
            if wants:
                self.selector.register(end, wants, link)
        elif not wants:
            self.selector.unregister(end)
        elif key.events != wants:
            self.selector.modify(end, wants, link)


def dial(door: str) -> socket.socket:
    """Return a connection to `door`: "unix:/path" or "tcp:host:port"."""
    kind, _, address = door.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S)


def main(port: str, door: str) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    Forwarder(listener, door).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
