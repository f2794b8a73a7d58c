"""A TCP proxy in front of the test's PostgreSQL: connections are cut, refused or left without an answer."""

from __future__ import annotations

import contextlib
import socket
import threading


class DatabaseProxy:
    """`port` on 127.0.0.1 leads to the server until `drop()` or `stall()`, and after `mend()` again."""

    def __init__(self, server: tuple[int, object]) -> None:
        self.server = server  # family and address
        self._flows, self._drops = threading.Event(), False
        self._flows.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def drop(self) -> None:
        """Cut what is open, and whatever comes."""
        self._drops = True
        self._cut()

    def stall(self) -> None:
        """Take every connection and every byte, and pass none on."""
        self._flows.clear()

    def mend(self) -> None:
        self._drops = False
        self._flows.set()

    def close(self) -> None:
        self._listener.close()
        self.mend()
        self._cut()

    def _cut(self) -> None:
        while self._open:
            end(self._open.pop())

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                if self._drops:
                    end(client)
                    continue
                server = socket.socket(self.server[0])
                server.connect(self.server[1])
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                target.sendall(data)
        end(source)
        end(target)


def end(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
