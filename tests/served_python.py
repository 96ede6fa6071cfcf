"""A stand-in for Python in shell scripts: scripts run in processes forked from one that has imported PyTorch."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import alone, stage

_CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    server.sendall(json.dumps([os.getcwd(), *sys.argv[1:]]).encode())
    server.shutdown(socket.SHUT_WR)
    status, stdout, stderr = json.loads(server.makefile("rb").read())
sys.stdout.write(stdout)
sys.stderr.write(stderr)
sys.exit(status)
"""


@contextmanager
def served_python(folder: Path, seconds: float = 120) -> Iterator[Path]:
    """Yield the path of an executable that runs the project's scripts as Python does, one at a time."""
    address, client = str(folder / "socket"), folder / "python"
    client.write_text(_CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        threading.Thread(target=_serve, args=(server, seconds), daemon=True).start()
        yield client
        server.shutdown(socket.SHUT_RDWR)  # ends the thread


def _serve(server: socket.socket, seconds: float) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as request:
            words = json.loads(request.read())
            connection.sendall(json.dumps(alone(_run, *words, seconds=seconds)).encode())


def _run(folder: str, script: str, *words: str) -> None:
    os.chdir(folder)
    stage(Path(script).stem, *words)
