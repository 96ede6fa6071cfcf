"""The live view of a training on a visdom server; without one, training goes on just the same."""

import contextlib
import logging
import queue
import sys
import threading
import warnings
from collections.abc import Sequence

import numpy as np

_SECONDS_TO_FINISH = 5


class Dashboard:
    """Sends curves and a picture to visdom from a thread, so that a slow server never holds up training.

    A server that is not there, or goes away, costs one warning on standard error.

    Args:
        server: address such as ``http://localhost``.
        port: of the server; 0 for no dashboard.
        environment: visdom's name for a page of windows: the experiment.
    """

    def __init__(self, server: str, port: int, environment: str):
        self._address = (server, port, environment)
        self._updates: queue.Queue = queue.Queue(maxsize=8)
        self._given_up = port == 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        if not self._given_up:
            self._thread.start()

    def update(self, rows: Sequence[dict], dice_columns: Sequence[str], picture: np.ndarray | None) -> None:
        """Show the log so far and a picture, uint8 (3, rows, columns) or None. Returns at once."""
        if self._given_up:
            return
        with contextlib.suppress(queue.Full):  # a later update holds the same curves
            self._updates.put_nowait((list(rows), dice_columns, picture))

    def close(self) -> None:
        """Let the last update go out, if the server takes it in time."""
        if self._thread.is_alive():
            try:
                self._updates.put(None, timeout=_SECONDS_TO_FINISH)
            except queue.Full:
                return
            self._thread.join(_SECONDS_TO_FINISH)

    def _work(self) -> None:
        server, port, environment = self._address
        try:
            visdom = _connect(server, port, environment)
            while (update := self._updates.get()) is not None:
                _send(visdom, *update)
        except Exception as error:  # whatever the client or the network raises, training is worth more
            reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            print(
                f"warning: no dashboard: the visdom server at {server}:{port} does not answer ({reason}); "
                "training goes on",
                file=sys.stderr,
                flush=True,
            )
        self._given_up = True


def _connect(server: str, port: int, environment: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # visdom 0.2 imports pkg_resources, which says that it is deprecated
        from visdom import Visdom
    logging.getLogger("visdom").setLevel(logging.CRITICAL)  # its failures are ours to tell, once
    return Visdom(server=server, port=port, env=environment, raise_exceptions=True, use_incoming_socket=False)


def _send(visdom, rows: Sequence[dict], dice_columns: Sequence[str], picture: np.ndarray | None) -> None:
    iterations = [row["iteration"] for row in rows]

    def line(window: str, columns: Sequence[str]) -> None:
        values = np.array(
            [[np.nan if row[column] is None else row[column] for column in columns] for row in rows], float
        )
        options = {"title": window, "legend": list(columns), "xlabel": "iteration", "showlegend": True}
        for number, column in enumerate(columns):
            visdom.line(
                values[:, number],
                iterations,
                win=window,
                name=column,
                opts=options,
                update="replace" if number else None,
            )

    line("loss", ["train_loss", "val_loss"])
    if dice_columns:
        line("Dice", dice_columns)
    line("learning rate", ["learning_rate"])
    line("iterations per second", ["iterations_per_second"])
    if picture is not None:
        visdom.image(picture, win="validation slice", opts={"title": "validation slice: image, reference, prediction"})
