"""Training log: rows of figures as a table, curves, a page, and a live dashboard."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from tqdm import tqdm

from base.atomic_file import write_text
from base.errors import InputError
from utils.training.curves import plot_curves
from utils.training.dashboard import Dashboard
from utils.training.experiment import Experiment
from utils.training.progress_page import Progress, progress_page
from utils.training.validation_picture import ShownPicture


class TrainingLog:
    """Keeps rows of figures, one for each validation.

    Args:
        rows: of the run that is resumed.
        dice_columns: names of the columns with the Dice of each class.
        iterations: number of steps of the whole training.
        taken: returns the number of steps taken.

    Attributes:
        picture: the last one, or None.
    """

    def __init__(
        self,
        experiment: Experiment,
        dashboard: Dashboard,
        rows: list[dict],
        dice_columns: list[str],
        iterations: int,
        taken: Callable[[], int],
    ):
        self.rows = rows
        self._experiment = experiment
        self._dashboard = dashboard
        self._dice_columns = dice_columns
        self._iterations = iterations
        self._taken = taken
        self._began, self._first = time.perf_counter(), taken()
        self.picture: ShownPicture | None = None

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Keep progress.html up to date while steps are taken; if they end early, it says how."""
        self._write_page("running", is_running=True)
        if self.rows:
            self._dashboard.update(self.rows, self._dice_columns, None)
        try:
            yield
        except BaseException as error:
            state = "stopped; goes on with --resume" if isinstance(error, SystemExit) else "ended by an error"
            with contextlib.suppress(InputError, OSError):  # such as a full disk: the error itself is told
                self._write_page(state)
            raise

    def add(self, figures: dict[str, float], dices: list[float | None], picture: ShownPicture | None) -> None:
        """Add a row, and write it to log.csv, curves.png, progress.html and visdom."""
        self.rows.append(figures | dict(zip(self._dice_columns, dices)))
        self.picture = picture or self.picture
        tqdm.write(self._line())
        self._experiment.write_log(self.rows)
        plot_curves(self._experiment.curves_path, self.rows, self._dice_columns)
        self._write_page("running", is_running=True)
        shown = (picture.joined, picture.caption) if picture else (None, "")
        self._dashboard.update(self.rows, self._dice_columns, *shown)

    def _line(self) -> str:
        """Return the last row as a line to print."""
        row = self.rows[-1]
        losses = f"loss {_format(row['train_loss'])}, validation {_format(row['val_loss'])}"
        dices = ", ".join(f"{_format(row[name])} ({name.removeprefix('dice_')})" for name in self._dice_columns)
        left = self._seconds_left()
        time_left = f", {timedelta(seconds=round(left))} left" if left else ""
        return (
            f"iteration {row['iteration']} of {self._iterations}: {losses}; Dice {dices};"
            f" {row['iterations_per_second']:.3g} iterations/s{time_left}"
        )

    def finish(self) -> None:
        """Write to progress.html that the training is finished."""
        self._write_page("finished")

    def _write_page(self, state: str, is_running: bool = False) -> None:
        progress = Progress(
            self._experiment.name, state, is_running, self._taken(), self._iterations, self._seconds_left()
        )
        page = progress_page(progress, self.rows, self._dice_columns, self.picture)
        write_text(self._experiment.progress_path, page)

    def _seconds_left(self) -> float | None:
        """Return the time of the remaining steps in seconds, at the pace since this run began, validations included."""
        taken = self._taken() - self._first
        if taken <= 0:
            return None
        return (time.perf_counter() - self._began) / taken * (self._iterations - self._taken())


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
