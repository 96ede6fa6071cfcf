"""Training with a real visdom server, whose pages and windows are read, and with missing and hostile servers."""

import base64
import contextlib
import io
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import visdom
from matplotlib.image import imread

from networks.weights import load_weights
from tests import servers
from tests.conftest import ROOT
from tests.material import SMALL, rows_of
from tests.servers import serving

# The README's command to start the server without internet access.
SERVER = "from visdom.server.run_server import main; main()"


@pytest.fixture
def server(tmp_path):
    """Start a visdom server on a free port of 127.0.0.1; yield its process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path / "visdom.log").open("w")
    command = [sys.executable, "-c", SERVER, "-port", str(port), "-bind_local", "-env_path", str(tmp_path / "visdom")]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (tmp_path / "visdom.log").read_text()
            time.sleep(0.1)
        yield process, port
    finally:
        process.kill()
        process.wait()
        log.close()


def options(kidneys, save, port, iterations, name):
    command = ["training_network.py", *SMALL, "-d", kidneys, "-s", save, "--classes", "0,1,2", "-i", iterations]
    return [*command, "-r", name, "--validate-every", 10, "--visdom-port", port, "--visdom-server", "http://127.0.0.1"]


def text_of(title):
    """Return the text of an axis title, which is a string or a dictionary depending on visdom's version."""
    return title["text"] if isinstance(title, dict) else title


def windows(port, experiment):
    """Return the server's windows of an experiment by title."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/win_data", json.dumps({"win": None, "eid": experiment}).encode()
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
    return {window["title"]: window for window in json.loads(content).values()}


def fetch(address):
    """Return the content of a URL, requested without a proxy."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
        return answer.read().decode()


class PageParts(HTMLParser):
    """Parser that collects the URLs of a page's scripts and style sheets."""

    def __init__(self, address, page):
        super().__init__()
        self._address, self.found = address, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        link = attrs.get("src") if tag == "script" else attrs.get("href") if attrs.get("rel") == "stylesheet" else None
        if link:
            self.found.append(urljoin(self._address, link))


def test_the_page_and_its_parts_are_served(server):
    """Files that the server downloads at its first start may be missing without internet access."""
    _, port = server
    package = Path(visdom.__file__).parent
    fetched_by_server = (package / "server" / "build.py").read_text(encoding="utf-8")
    address = f"http://127.0.0.1:{port}/"
    parts = PageParts(address, fetch(address)).found
    own = []
    for part in parts:
        assert part.startswith(address)
        name = urlsplit(part).path.removeprefix("/static/")
        if name.startswith("/user/") or (package / "static" / name).exists():
            fetch(part)
            own.append(name)
        else:
            assert Path(name).name in fetched_by_server, part
    assert {"js/main.js", "css/style.css"} <= set(own)


def test_the_windows_show_the_log(run, kidneys, tmp_path, server):
    _, port = server
    process = run(*options(kidneys, tmp_path, port, 30, "CE+dice"))
    assert "warning" not in process.stderr
    (page,) = re.findall(r"live at (\S+)$", process.stdout, flags=re.MULTILINE)
    assert page == f"http://127.0.0.1:{port}/env/CE-dice"
    assert "ACTIVE_ENV = ''" not in fetch(page)  # as in the page of an unknown environment
    shown = windows(port, "CE-dice")
    rows = rows_of(tmp_path / "CE+dice" / "log.csv")
    lines = {
        "loss": ("train_loss", "val_loss"),
        "Dice": ("dice_1", "dice_2"),
        "learning rate": ("learning_rate",),
        "iterations per second": ("iterations_per_second",),
    }
    for title, columns in lines.items():
        traces = {trace["name"]: trace for trace in shown[title]["content"]["data"]}
        assert set(traces) == set(columns)
        for column in columns:
            assert traces[column]["x"] == [10, 20, 30]
            assert traces[column]["y"] == pytest.approx([float(row[column]) for row in rows], rel=1e-4)
        layout = shown[title]["content"]["layout"]
        assert text_of(layout["xaxis"]["title"]) == "iteration"
        assert text_of(layout["yaxis"]["title"]) == title
    assert shown["Dice"]["content"]["layout"]["yaxis"]["range"] == [0, 1]
    (picture,) = [window for title, window in shown.items() if title.startswith("validation slice")]
    assert picture["type"] == "image"
    assert re.fullmatch(
        r"case_00003, axial slice \d+ of \d+ after resampling, iteration 30", picture["content"]["caption"]
    )
    content = base64.b64decode(picture["content"]["src"].partition("base64,")[2])
    height, width, _ = imread(io.BytesIO(content), format="png").shape
    assert height >= 300 and width >= 3 * 300
    assert picture["height"] > height and picture["width"] >= width


def test_a_server_that_is_killed_causes_one_warning(kidneys, tmp_path, server):
    process, port = server
    command = [sys.executable, *(str(word) for word in options(kidneys, tmp_path, port, 100, "orphan"))]
    training = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "orphan" / "log.csv"
    while not log.exists():
        assert training.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    _, errors = training.communicate(timeout=120)
    assert training.returncode == 0, errors
    assert len([line for line in errors.splitlines() if "warning" in line.lower()]) == 1, errors
    assert "Traceback" not in errors
    assert len(log.read_text().splitlines()) == 11
    assert (tmp_path / "orphan" / "FINAL_orphan_100.pth").exists()


def test_a_missing_server_causes_one_warning(run, kidneys, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = run(*options(kidneys, tmp_path, port, 20, "alone"))
    (warning,) = [line for line in process.stderr.splitlines() if "warning" in line.lower()]
    assert f":{port}" in warning
    assert (tmp_path / "alone" / "FINAL_alone_20.pth").exists()


@pytest.mark.parametrize("handle", [servers.send_chunk_size_without_end, servers.drip_body], ids=["flood", "drip"])
def test_a_hostile_server_causes_one_warning(run, kidneys, tmp_path, handle):
    with serving(handle) as server:
        process = run(*options(kidneys, tmp_path, server.port, 20, "beside"))
        assert server.sent < 16 * 2**20  # limited by the socket buffers
    (warning,) = [line for line in process.stderr.splitlines() if "warning" in line.lower()]
    assert f":{server.port}" in warning
    assert len(rows_of(tmp_path / "beside" / "log.csv")) == 2
    assert (tmp_path / "beside" / "FINAL_beside_20.pth").exists()


def test_visdom_picture_off_sends_no_picture_and_changes_no_weights(call, kidneys, tmp_path, monkeypatch):
    """Check also that the option is neither recorded nor printed."""
    monkeypatch.setattr("utils.training.dashboard._SECONDS_AT_END", 20.0)  # enough on a busy machine
    visdom, records, weights = servers.Visdom(), [], []
    with serving(visdom) as server:
        for picture in ("auto", "off"):
            if picture == "off":
                assert "validation slice" in visdom.windows
                visdom.windows.clear()
            command = options(kidneys, tmp_path / picture, server.port, 20, "same")
            printed = call(*command, "--visdom-picture", picture)
            assert "--visdom-picture" not in printed
            folder = tmp_path / picture / "same"
            records.append(json.loads((folder / "experiment.json").read_text()))
            weights.append(load_weights(folder / "FINAL_same_20.pth").build().state_dict())
    assert "loss" in visdom.windows
    assert "validation slice" not in visdom.windows
    assert records[0] == records[1]
    assert "visdom_picture" not in records[0]["options"]
    assert all(value.equal(weights[1][name]) for name, value in weights[0].items())
