"""A visdom client that limits each request in seconds and each response in bytes, whatever the server does."""

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
    warnings.simplefilter("ignore")  # visdom 0.2 imports pkg_resources, which warns that it is deprecated
    from visdom import Visdom

REQUEST_SECONDS = 10.0
ANSWER_BYTES = 2**20  # as received, headers included; responses are never decompressed
_NO_PROXY = {"http": None, "https": None, "all": None}  # overrides the environment


class ServerFault(Exception):
    """Server behaviour that is not visdom's. Not an OSError, which visdom's client takes for a failed connection."""


class BoundedVisdom(Visdom):
    """Visdom's client without persistent session, retries and redirects, and with limited responses.

    Args:
        server: address such as ``http://localhost``.
        port: of the server.
        environment: name of a page of windows.
        on_this_machine: the server runs on this machine, so that no proxy is used.

    Raises:
        ConnectionError: the server cannot be reached.
        ServerFault: it does not respond as visdom does.
    """

    def __init__(self, server: str, port: int, environment: str, on_this_machine: bool):
        self._proxies = _NO_PROXY if on_this_machine else None
        logging.getLogger("visdom").setLevel(logging.CRITICAL)  # the caller reports failures, once
        super().__init__(server=server, port=port, env=environment, raise_exceptions=True, use_incoming_socket=False)

    def _handle_post(self, url, data=None) -> str:
        """Send one request; visdom's client provides this method to be overridden."""
        with _Session() as session:
            response = session.post(
                url, data or {}, timeout=REQUEST_SECONDS, stream=True, allow_redirects=False, proxies=self._proxies
            )
            if response.status_code != requests.codes.ok:
                raise ServerFault(f"it responds with status {response.status_code}")
            try:
                return response.raw.read(decode_content=False).decode(errors="replace")
            except HTTPError as error:
                raise ServerFault("its response is incomplete") from error

    def _start_session_reaper(self) -> None:
        """Start no thread (visdom 0.3), as no session stays open."""


class _Session(requests.Session):
    """A session for a single request, so that the limits of its connection are those of the request."""

    def __init__(self):
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            self.mount(scheme, _BoundedAdapter())

    def get_redirect_target(self, resp) -> None:
        """Return None: requests reads and decompresses the content of a redirect even if it does not follow it."""


class _Limits:
    """Remaining seconds of a request and remaining bytes of its response."""

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
            raise ServerFault(f"its response is longer than {ANSWER_BYTES} bytes")


class _BoundedSocket:
    """A connected socket for `http.client`, within limits."""

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
    """Reads from a socket, within limits."""

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
    """Mix-in for a connection: limits that start when it is opened."""

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
    """Opens bounded connections, to a server or to a proxy."""

    def init_poolmanager(self, *args, **options) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args, **options):
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
