"""What is known of a training on the way: rows of figures, as a table, as curves, and live."""

import numpy as np

from utils.dashboard import Dashboard
from utils.experiment import Experiment
from utils.pictures import draw_curves


class TrainingLog:
    """Rows of figures, one a validation.

    Args:
        rows: those of the run that is taken up.
        dice_columns: names of the columns that hold a class's Dice.
    """

    def __init__(self, experiment: Experiment, dashboard: Dashboard, rows: list[dict], dice_columns: list[str]):
        self.rows = rows
        self._experiment = experiment
        self._dashboard = dashboard
        self._dice_columns = dice_columns

    def add(self, figures: dict[str, float], dices: list[float], picture: np.ndarray | None) -> None:
        """Add a row, and show it in log.csv, curves.png and visdom.

        Args:
            picture: for visdom, uint8 (3, rows, columns), or None.
        """
        self.rows.append(figures | dict(zip(self._dice_columns, dices)))
        self._experiment.write_log(self.rows)
        draw_curves(self._experiment.curves_path, self.rows, self._dice_columns)
        self._dashboard.update(self.rows, self._dice_columns, picture)
