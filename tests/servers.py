"""Local servers that answer a visdom client correctly, wrongly or not at all; all are limited in time and bytes."""

import contextlib
import functools
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator

SECONDS = 20  # maximum lifetime of a server
_BYTES = 64 * 2**20  # maximum sent over a connection
_BLOCK = b"x" * 2**16
_BOMB = gzip.compress(bytes(_BYTES))
_OK = b"HTTP/1.1 200 OK\r\n"


class Connection:
    """Connection that a server has accepted."""

    def __init__(self, accepted: socket.socket, server: "Server"):
        self._socket = accepted
        self.server = server
        self.path, self.body = "", b""

    def read_request(self) -> bool:
        """Read a request into `path` and `body`; return False at the end of the connection."""
        with self._socket.makefile("rb") as stream:
            first = stream.readline().decode()
            if not first:
                return False
            self.path, length = first.split()[1], 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            self.body = stream.read(length)
        with self.server.lock:
            self.server.requests += 1
        return True

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)
        with self.server.lock:
            self.server.sent += len(content)

    def answer(self, content: bytes, status: str = "200 OK", headers: str = "") -> None:
        self.send(f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content)

    def send_again_and_again(self, content: bytes, pause: float = 0.0) -> None:
        """Send `content` repeatedly until either side closes or the limit is reached."""
        for _ in range(_BYTES // len(content)):
            self.send(content)
            if self.server.stopped.wait(pause) if pause else self.server.stopped.is_set():
                break


class Server:
    """Server that calls `handle` for each connection, in a thread of its own.

    Attributes:
        port: on 127.0.0.1.
        requests: number of requests read.
        sent: number of bytes sent over all connections.
    """

    def __init__(self, handle: Callable[[Connection], None]):
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)  # accepted sockets inherit it
        self._listener.settimeout(SECONDS)
        self.port = self._listener.getsockname()[1]
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.requests = self.sent = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self.stopped.is_set():
                accepted, _ = self._listener.accept()
                accepted.settimeout(SECONDS)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
                self._open.append(accepted)
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), accepted:
            self._handle(Connection(accepted, self))

    def stop(self) -> None:
        self.stopped.set()
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def serving(handle: Callable[[Connection], None]) -> Iterator[Server]:
    """Run a server, and stop it at the end."""
    server = Server(handle)
    try:
        yield server
    finally:
        server.stop()


class Visdom:
    """Handler of connections that answers as visdom does.

    Args:
        requests: number of requests to read; later connections are accepted, but not read.

    Attributes:
        windows: names of the windows received.
        paths: requested paths.
    """

    def __init__(self, requests: float = float("inf")):
        self._requests = requests
        self.windows: set[str] = set()
        self.paths: set[str] = set()

    def __call__(self, connection: Connection) -> None:
        if connection.server.requests >= self._requests:
            connection.server.stopped.wait(SECONDS)
        while connection.read_request():
            message = json.loads(connection.body)
            self.paths.add(connection.path)
            self.windows.update({message["win"]} if "win" in message else ())
            connection.answer(message.get("win", "").encode())


def _after_request(send: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Return a handler that calls `send` after each request."""

    @functools.wraps(send)
    def handle(connection: Connection) -> None:
        while connection.read_request():
            send(connection)

    return handle


@_after_request
def send_body_without_end(connection: Connection) -> None:
    connection.send(_OK + b"\r\n")
    connection.send_again_and_again(_BLOCK)


@_after_request
def send_chunks_without_end(connection: Connection) -> None:
    connection.send(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.send_again_and_again(b"10000\r\n" + _BLOCK + b"\r\n")


@_after_request
def send_chunk_size_without_end(connection: Connection) -> None:
    connection.send(_OK + b"Transfer-Encoding: chunked\r\n\r\n")
    connection.send_again_and_again(b"0" * 2**16)


@_after_request
def send_trailers_without_end(connection: Connection) -> None:
    connection.send(_OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    connection.send_again_and_again(b"Trailer: 1\r\n" * 2**10)


@_after_request
def send_headers_without_end(connection: Connection) -> None:
    connection.send(_OK)
    connection.send_again_and_again(b"Header: " + b"x" * 2**12 + b"\r\n")


@_after_request
def continue_without_end(connection: Connection) -> None:
    connection.send_again_and_again(b"HTTP/1.1 100 Continue\r\n\r\n" * 2**10)


@_after_request
def send_gzip_bomb(connection: Connection) -> None:
    connection.answer(_BOMB, headers="Content-Encoding: gzip\r\n")


@_after_request
def redirect_with_gzip_bomb(connection: Connection) -> None:
    connection.answer(_BOMB, "302 Found", "Location: /\r\nContent-Encoding: gzip\r\n")


@_after_request
def redirect_to_itself(connection: Connection) -> None:
    connection.answer(b"", "307 Temporary Redirect", f"Location: {connection.path}\r\n")


def redirect_to(port: int) -> Callable[[Connection], None]:
    @_after_request
    def redirect(connection: Connection) -> None:
        connection.answer(b"", "307 Temporary Redirect", f"Location: http://127.0.0.1:{port}/\r\n")

    return redirect


@_after_request
def answer_500(connection: Connection) -> None:
    connection.answer(b"", "500 Internal Server Error")


@_after_request
def answer_another_page(connection: Connection) -> None:
    connection.answer(b"<html>\x1b[31m another server</html>")


@_after_request
def break_off(connection: Connection) -> None:
    connection.send(_OK + b"Content-Length: 1000\r\n\r\nloss")
    connection.server.stop()


def close_at_once(connection: Connection) -> None:
    """Close the connection without reading."""


@_after_request
def stay_silent(connection: Connection) -> None:
    connection.server.stopped.wait(SECONDS)


@_after_request
def drip_headers(connection: Connection) -> None:
    connection.send(_OK + b"Header: ")
    connection.send_again_and_again(b"x", pause=0.1)


@_after_request
def drip_body(connection: Connection) -> None:
    connection.send(_OK + b"\r\n")
    connection.send_again_and_again(b"x", pause=0.1)


FLOODS = (
    send_body_without_end,
    send_chunks_without_end,
    send_chunk_size_without_end,
    send_trailers_without_end,
    send_headers_without_end,
    continue_without_end,
    send_gzip_bomb,
    redirect_with_gzip_bomb,
)
STALLS = (stay_silent, drip_headers, drip_body)
FAULTS = (redirect_to_itself, answer_500, answer_another_page, break_off, close_at_once)
