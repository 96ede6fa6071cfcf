"""A visdom client that no server can hold up or flood: each request is limited in seconds, each answer in bytes."""

import io
import logging
import time
import warnings

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # visdom 0.2 imports pkg_resources, which says that it is deprecated
    from visdom import Visdom

REQUEST_SECONDS = 10.0
ANSWER_BYTES = 2**20  # on the wire, headers included; answers are never unpacked
_NO_PROXY = {"http": None, "https": None, "all": None}  # whatever the environment says


class ServerFault(Exception):
    """What a server did that no visdom server does. No OSError: those are taken for a connection that failed."""


class BoundedVisdom(Visdom):
    """Visdom's client, but for how it talks to the server: no session, no retries, no redirects, limited answers.

    Args:
        server: address such as ``http://localhost``.
        port: of the server.
        environment: visdom's name for a page of windows.
        on_this_machine: whether the server is: no proxy leads there.

    Raises:
        ConnectionError: there is no such server.
        ServerFault: it does not answer as visdom does.
    """

    def __init__(self, server: str, port: int, environment: str, on_this_machine: bool):
        self._proxies = _NO_PROXY if on_this_machine else None
        logging.getLogger("visdom").setLevel(logging.CRITICAL)  # its failures are the caller's to tell, once
        super().__init__(server=server, port=port, env=environment, raise_exceptions=True, use_incoming_socket=False)

    def _handle_post(self, url, data=None) -> str:
        """Send one request; visdom's client leaves this method to those who send in another way."""
        with _Session() as session:
            answer = session.post(
                url, data or {}, timeout=REQUEST_SECONDS, stream=True, allow_redirects=False, proxies=self._proxies
            )
            if answer.status_code != requests.codes.ok:
                raise ServerFault(f"it answers with status {answer.status_code}")
            try:
                return answer.raw.read(decode_content=False).decode(errors="replace")
            except HTTPError as error:
                raise ServerFault("it breaks off its answer") from error

    def _start_session_reaper(self) -> None:
        """Start no thread (visdom 0.3): there is no session that stays open."""


class _Session(requests.Session):
    """A session for one request, so that the limits of its connection are those of the request."""

    def __init__(self):
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            self.mount(scheme, _BoundedAdapter())

    def get_redirect_target(self, resp) -> None:
        """Find no redirect: requests would read and unpack its whole content, even if it is not to follow it."""


class _Limits:
    """What is left of a request's seconds and of its answer's bytes."""

    def __init__(self):
        self._end = time.monotonic() + REQUEST_SECONDS
        self._bytes = ANSWER_BYTES

    def seconds(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise ServerFault(f"it takes longer than {REQUEST_SECONDS:g} seconds for a request")
        return left

    def count(self, received: int) -> None:
        self._bytes -= received
        if self._bytes < 0:
            raise ServerFault(f"its answer is longer than {ANSWER_BYTES} bytes")


class _BoundedSocket:
    """A connected socket, as `http.client` uses it, within limits."""

    def __init__(self, connected, limits: _Limits):
        self._socket = connected
        self._limits = limits

    def __getattr__(self, name: str):
        return getattr(self._socket, name)

    def sendall(self, data) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._limits.seconds())
            try:
                rest = rest[self._socket.send(rest) :]
            except TimeoutError:
                self._limits.seconds()

    def makefile(self, mode: str, *args, **options) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._socket, self._limits))


class _BoundedReader(io.RawIOBase):
    """What a socket receives, within limits."""

    def __init__(self, connected, limits: _Limits):
        self._socket = connected
        self._raw = connected.makefile("rb", buffering=0)
        self._limits = limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        self._socket.settimeout(self._limits.seconds())
        try:
            received = self._raw.readinto(buffer)
        except TimeoutError as error:
            raise ServerFault(f"it takes longer than {REQUEST_SECONDS:g} seconds for a request") from error
        self._limits.count(received or 0)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Bounded:
    """Mixed into a connection: limits that begin when it is opened."""

    def connect(self) -> None:
        limits = _Limits()
        super().connect()
        self.sock = _BoundedSocket(self.sock, limits)


class _Connection(_Bounded, HTTPConnection):
    pass


class _TLSConnection(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _BoundedAdapter(HTTPAdapter):
    """Opens connections that are bounded, to a server or to the proxy that leads there."""

    def init_poolmanager(self, *args, **options) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args, **options):
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
