"""Live view of a training on a visdom server; without a server, training continues unchanged."""

import ipaddress
import re
import sys
import threading
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import numpy as np

from utils.training.curves import MOST_MARKED

_SECONDS_AT_BEGINNING = 2.0  # longest delay of the first training step by a server
_SECONDS_AT_END = 2.0  # longest delay after the last step
_SECONDS_TO_IMPORT = 10.0  # for visdom's client, which a training of one second has to wait for
_WAITING = "waiting"  # window shown before the first curves
_PLOT = {
    "width": 330,
    "height": 340,
    "marginleft": 65,
    "margintop": 75,
    "marginright": 20,
}  # pixels: four fit side by side
_PLOTLY = {
    "title": None,  # the window has a title, which plotly's tool bar does not cover
    "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
}
_PICTURE_MARGIN = {"width": 4, "height": 60}  # pixels of a window around its picture, for title and caption


class Dashboard:
    """Sends curves and a picture to visdom from a thread, so that a slow server does not delay training.

    A server that cannot be reached, disconnects, or does not respond as visdom does leads to one warning on standard
    error, and to a delay of at most two seconds each at the beginning and the end of the training.

    Args:
        server: address such as ``http://localhost``.
        port: of the server; 0 for no dashboard.
        experiment: name; its windows are on a separate page, an "environment" of visdom, see `page`.
        picture: ``auto`` sends the picture only to a server on this machine, ``on`` to any server, ``off`` to none.
    """

    def __init__(self, server: str, port: int, experiment: str, picture: str = "auto"):
        self._address = (server, port, environment_of(experiment), is_on_this_machine(server))
        self._sends_picture = picture == "on" or (picture == "auto" and is_on_this_machine(server))
        self._changed = threading.Condition()  # guards the four below
        self._latest: tuple | None = None
        self._closing = False
        self._given_up = port == 0
        self._warned = False
        self._imported, self._opened, self._settled = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        if not self._given_up:
            if picture == "auto" and not self._sends_picture:
                print(
                    f"dashboard: curves are sent to {server}:{port}, the picture of a validation slice is not; "
                    "--visdom-picture on sends it"
                )
            self._thread.start()

    @property
    def page(self) -> str | None:
        """Address of the experiment's page; None without a dashboard."""
        server, port, environment, _ = self._address
        scheme = "" if "://" in server else "http://"
        return f"{scheme}{server.rstrip('/')}:{port}/env/{quote(environment, safe=',=')}" if port else None

    def wait_for_page(self) -> bool:
        """Wait until the server has created the page; return False if it does not do so in time."""
        if not self._given_up:
            self._imported.wait(_SECONDS_TO_IMPORT)
            self._settled.wait(_SECONDS_AT_BEGINNING)
        return self._opened.is_set()

    def update(
        self, rows: Sequence[dict], dice_columns: Sequence[str], picture: np.ndarray | None, caption: str = ""
    ) -> None:
        """Show the log so far and a picture, uint8 (3, rows, columns) or None. Does not block."""
        with self._changed:  # replaces an update that was not sent yet: this one contains its curves
            self._latest = (list(rows), dice_columns, picture if self._sends_picture else None, caption)
            self._changed.notify()

    def close(self) -> None:
        """Send the last update, if the server accepts it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._imported.wait(_SECONDS_TO_IMPORT)
            self._thread.join(_SECONDS_AT_END)
            if self._thread.is_alive():
                self._give_up(f"it did not accept the last curves within {_SECONDS_AT_END:g} seconds")

    def _work(self) -> None:
        try:
            try:
                from utils.training.visdom_client import BoundedVisdom
            finally:
                self._imported.set()
            visdom = BoundedVisdom(*self._address)
            self._opened.set()
            self._settled.set()
            with self._changed:
                waits = self._latest is None and not self._closing
            if waits:  # otherwise the page is empty until the first validation, perhaps for minutes
                _check(visdom.text("Curves come with the first validation.", win=_WAITING), _WAITING)
            while (update := self._next_update()) is not None:
                if waits:
                    visdom.close(win=_WAITING)
                    waits = False
                _send(visdom, *update)
        except Exception as error:  # training must not fail, whatever the client or the network raises
            self._give_up(str(error) or type(error).__name__)
        self._given_up = True
        self._settled.set()

    def _next_update(self) -> tuple | None:
        """Wait for an update and return it; None when there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._latest is not None or self._closing)
            update, self._latest = self._latest, None
            return update

    def _give_up(self, reason: str) -> None:
        """Stop sending, and warn once."""
        with self._changed:
            has_warned, self._warned, self._given_up = self._warned, True, True
        if not has_warned:
            server, port, *_ = self._address
            reason = "".join(sign for sign in reason.splitlines()[0][:100] if sign.isprintable())
            print(
                f"warning: no dashboard: the visdom server at {server}:{port} does not respond ({reason}); "
                "training continues",
                file=sys.stderr,
                flush=True,
            )


def is_on_this_machine(server: str) -> bool:
    """Return True if an address is ``localhost`` or a loopback address, so that no data leaves this machine."""
    try:
        host = urlsplit(server if "://" in server else f"http://{server}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, or not an address
        return False


def environment_of(experiment: str) -> str:
    """Return the name of an experiment's page, without ``+`` and characters that URLs escape (visdom opens none)."""
    return re.sub(r"[^\w.,=-]", "-", experiment)


def _send(
    visdom, rows: Sequence[dict], dice_columns: Sequence[str], picture: np.ndarray | None, caption: str = ""
) -> None:
    iterations = [row["iteration"] for row in rows]

    def line(window: str, columns: Sequence[str], **axis) -> None:
        values = np.array(
            [[np.nan if row[column] is None else row[column] for column in columns] for row in rows], float
        )
        options = {"title": window, "legend": list(columns), "showlegend": True, **_PLOT, **axis}
        options |= {"xlabel": "iteration", "ylabel": window, "markers": len(rows) <= MOST_MARKED, "markersize": 5}
        options["layoutopts"] = {"plotly": _PLOTLY}
        for number, column in enumerate(columns):
            response = visdom.line(
                values[:, number],
                iterations,
                win=window,
                name=column,
                opts=options,
                update="replace" if number else None,
            )
            _check(response, window)

    line("loss", ["train_loss", "val_loss"])
    if dice_columns:
        line("Dice", dice_columns, ytickmin=0, ytickmax=1)
    line("learning rate", ["learning_rate"])
    line("iterations per second", ["iterations_per_second"])
    if picture is not None:
        window, (_, height, width) = "validation slice", picture.shape
        options = {"title": "validation slice: image, reference, prediction", "caption": caption}
        options |= {"width": width + _PICTURE_MARGIN["width"], "height": height + _PICTURE_MARGIN["height"]}
        _check(visdom.image(picture, win=window, opts=options), window)


def _check(response: str, window: str) -> None:
    """Raise ValueError unless the response is the window's name, as visdom's is."""
    if response != window:
        raise ValueError("its responses are not those of visdom")
