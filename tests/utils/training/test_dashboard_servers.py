"""Dashboard with faulty servers: limits in bytes, seconds and warnings; and the servers that receive the picture."""

import json
import threading
import time
import tracemalloc

import numpy as np
import pytest

from tests import servers
from tests.servers import serving
from utils.training import dashboard, visdom_client
from utils.training.dashboard import Dashboard, is_on_this_machine

ROWS = [{"iteration": 10, "train_loss": 1.0, "val_loss": 0.9, "learning_rate": 0.1, "iterations_per_second": 5.0}]
PICTURE = np.zeros((3, 64, 192), np.uint8)
CURVES = {"loss", "learning rate", "iterations per second"}
PICTURES = {"validation slice"}
MEGABYTES = 2**20


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Remove proxy settings from the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def use(port, server="http://127.0.0.1", timeout=0.0, shown=PICTURE, **options) -> float:
    """Send an update, and close after `timeout` seconds or once the dashboard has given up; return the delay."""
    board = Dashboard(server, port, "experiment", **options)
    began = time.perf_counter()
    board.update(ROWS, [], shown)
    seconds = time.perf_counter() - began
    board._thread.join(timeout)
    began = time.perf_counter()
    board.close()
    return seconds + time.perf_counter() - began


def warning_of(capsys) -> str:
    """Return the only line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: no dashboard: the visdom server at http://127.0.0.1:")
    assert line.endswith("training continues") and line.isprintable()
    return line


@pytest.fixture
def generous_end(monkeypatch):
    """Give a working server on a busy machine enough time for the last update."""
    monkeypatch.setattr(dashboard, "_SECONDS_AT_END", 20.0)


@pytest.mark.parametrize("handle", servers.FLOODS, ids=lambda handle: handle.__name__)
def test_a_flood_is_not_read(handle, capsys):
    with serving(handle) as server:
        tracemalloc.start()
        try:
            seconds = use(server.port, timeout=10)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert server.requests <= 2
        # Buffers of the operating system hold some megabytes that are never read.
        assert server.sent < 16 * MEGABYTES
    assert peak < 8 * MEGABYTES
    assert seconds < 4
    warning_of(capsys)


@pytest.mark.parametrize("handle", servers.STALLS, ids=lambda handle: handle.__name__)
def test_a_slow_server_delays_the_end_of_a_training_little(handle, capsys, monkeypatch):
    monkeypatch.setattr(dashboard, "_SECONDS_AT_END", 0.5)
    with serving(handle) as server:
        assert use(server.port) < 2.5
        warning = warning_of(capsys)
    assert "within 0.5 seconds" in warning


def test_the_end_waits_two_seconds_by_default(capsys):
    with serving(servers.stay_silent) as server:
        assert use(server.port) < 4
        assert "within 2 seconds" in warning_of(capsys)
    assert capsys.readouterr().err == ""  # nothing more from the abandoned thread


@pytest.mark.parametrize("handle", servers.STALLS, ids=lambda handle: handle.__name__)
def test_a_request_is_limited_as_a_whole(handle, capsys, monkeypatch):
    monkeypatch.setattr(visdom_client, "REQUEST_SECONDS", 0.5)
    with serving(handle) as server:
        assert use(server.port, timeout=10) < 1
    assert "longer than 0.5 seconds" in warning_of(capsys)


def test_a_server_that_stops_reading_does_not_delay_a_request(capsys, monkeypatch):
    monkeypatch.setattr(visdom_client, "REQUEST_SECONDS", 0.5)
    picture = np.random.default_rng(0).integers(0, 256, (3, 1500, 1500), np.uint8)  # larger than the buffers
    with serving(servers.Visdom(requests=5)) as server:  # all but the picture
        assert use(server.port, timeout=10, shown=picture) < 1
        assert server.requests == 5
    assert "longer than 0.5 seconds" in warning_of(capsys)


@pytest.mark.parametrize("handle", servers.FAULTS, ids=lambda handle: handle.__name__)
def test_a_faulty_server_leads_to_one_warning(handle, capsys):
    with serving(handle) as server:
        assert use(server.port, timeout=10) < 1
        assert server.requests <= 2
    warning_of(capsys)


def test_a_redirect_is_not_followed(capsys):
    with serving(servers.Visdom()) as other, serving(servers.redirect_to(other.port)) as server:
        use(server.port, timeout=10)
        assert other.requests == 0
    assert "status 307" in warning_of(capsys)


def test_unsent_updates_are_not_kept(generous_end, monkeypatch):
    """Updates that a slow server has not accepted are replaced by the last."""
    shown, first, resumed = [], threading.Event(), threading.Event()

    def send(visdom, rows, *others):
        first.set()
        assert resumed.wait(10)
        shown.append(len(rows))

    monkeypatch.setattr(dashboard, "_send", send)
    with serving(servers.Visdom()) as server:
        board = Dashboard("http://127.0.0.1", server.port, "experiment")
        board.update(ROWS, [], PICTURE)
        assert first.wait(10)
        for count in range(2, 21):
            board.update(ROWS * count, [], PICTURE)
        resumed.set()
        board.close()
    assert shown == [1, 20]


def test_a_proxy_is_not_used_for_this_machine(generous_end, capsys, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    visdom = servers.Visdom()
    with serving(visdom) as server:
        use(server.port)
        use(server.port, "http://localhost")
    assert visdom.windows == CURVES | PICTURES
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("picture, windows", [("auto", CURVES | PICTURES), ("on", CURVES | PICTURES), ("off", CURVES)])
def test_the_picture_on_this_machine(generous_end, picture, windows, capsys):
    visdom = servers.Visdom()
    with serving(visdom) as server:
        use(server.port, picture=picture)
    assert visdom.windows == windows
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("picture, windows", [("auto", CURVES), ("on", CURVES | PICTURES), ("off", CURVES)])
def test_the_picture_elsewhere(generous_end, picture, windows, capsys, monkeypatch):
    visdom = servers.Visdom()
    with serving(visdom) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        use(8008, "http://elsewhere.invalid", picture=picture)
    assert all(path.startswith("http://elsewhere.invalid:8008/") for path in visdom.paths)
    assert visdom.windows == windows
    output, errors = capsys.readouterr()
    assert errors == ""
    assert len(output.splitlines()) == (picture == "auto")
    assert ("--visdom-picture on" in output) == (picture == "auto")


def test_without_a_dashboard_nothing_is_printed(capsys):
    for server in ("http://localhost", "http://elsewhere.invalid"):
        board = Dashboard(server, 0, "experiment")
        assert board.page is None
        assert not board.wait_for_page()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "server, experiment, page",
    [
        ("http://localhost", "one", "http://localhost:8008/env/one"),
        ("elsewhere/", "c0-1,2 x=3", "http://elsewhere:8008/env/c0-1,2-x=3"),
        ("https://elsewhere", "CE+dice", "https://elsewhere:8008/env/CE-dice"),  # a+b is visdom's page of both
        ("http://localhost", "50%?#'Å", "http://localhost:8008/env/50----%C3%85"),
    ],
)
def test_the_address_of_a_page(server, experiment, page, monkeypatch):
    monkeypatch.setattr(Dashboard, "_work", lambda self: None)
    assert Dashboard(server, 8008, experiment, "off").page == page


def test_a_page_can_be_opened_once_the_server_has_created_it(capsys):
    visdom = servers.Visdom()
    with serving(visdom) as server:
        board = Dashboard("http://127.0.0.1", server.port, "CE+dice")
        assert board.wait_for_page()
        assert "/env/CE-dice" in visdom.paths
        board.close()
    assert capsys.readouterr() == ("", "")


def test_the_wait_for_a_page_is_short(capsys, monkeypatch):
    monkeypatch.setattr(dashboard, "_SECONDS_AT_BEGINNING", 0.2)
    with serving(servers.stay_silent) as server:
        board = Dashboard("http://127.0.0.1", server.port, "experiment")
        board._imported.wait(10)
        began = time.perf_counter()
        assert not board.wait_for_page()
        assert time.perf_counter() - began < 1.5
        assert capsys.readouterr().err == ""  # it may still respond
    board._thread.join(10)
    warning_of(capsys)


def test_a_faulty_server_has_no_page_to_wait_for(capsys):
    with serving(servers.answer_500) as server:
        assert not Dashboard("http://127.0.0.1", server.port, "experiment").wait_for_page()
    warning_of(capsys)


def test_a_page_without_curves_shows_a_note_until_they_arrive(generous_end):
    messages = []

    def record(connection):
        while connection.read_request():
            message = json.loads(connection.body)
            messages.append((connection.path, message.get("win")))
            connection.answer(message.get("win", "").encode())

    with serving(record) as server:
        board = Dashboard("http://127.0.0.1", server.port, "experiment")
        while len(messages) < 2:
            assert board._thread.is_alive()
            time.sleep(0.01)
        board.update(ROWS, [], None)
        board.close()
    assert [win for path, win in messages if path == "/events"] == [
        "waiting",
        "loss",
        "learning rate",
        "iterations per second",
    ]
    assert messages[2] == ("/close", "waiting")


@pytest.mark.parametrize(
    "server", ["http://localhost", "localhost", "https://LOCALHOST", "http://127.0.0.1", "127.1.2.3", "http://[::1]"]
)
def test_addresses_of_this_machine(server):
    assert is_on_this_machine(server)


@pytest.mark.parametrize(
    "server",
    [
        "http://elsewhere.example",
        "http://192.168.1.2",
        "http://0.0.0.0",
        "http://localhost.elsewhere.example",
        "http://localhost@elsewhere.example",
        "http://127.0.0.1:80@elsewhere.example",
        "http://[2001:db8::1]",
        "http://[",
        "",
    ],
)
def test_addresses_elsewhere(server):
    assert not is_on_this_machine(server)
