"""Self-contained HTML page of a training: curves, a picture, rate and remaining time; no server is needed."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from utils.pages.plain_text import safe
from utils.pages.svg_curves import Curve, plot_svg
from utils.runtime.figures import CLASS_COLOURS, plt
from utils.training.validation_picture import ShownPicture

REFRESH_SECONDS = 10
_ROWS_SHOWN = 10
_LOSS_COLOURS = {"train_loss": "#1f77b4", "val_loss": "#ff7f0e"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #f5f6f8; margin: 0 auto; padding: 16px;
  max-width: 1160px; }
h1 { font-size: 20px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0 0 6px; }
p { margin: 4px 0; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid #dde; border-radius: 6px; padding: 12px; margin-top: 12px; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 12px; }
.bar { background: #dde; border-radius: 4px; height: 8px; margin: 10px 0; }
.bar div { background: #2a7; border-radius: 4px; height: 8px; }
svg { width: 100%; height: auto; display: block; font-size: 12px; }
@media (max-width: 560px) { svg { font-size: 16px; } }
svg text { fill: #444; } .grid { stroke: #e4e4ea; } polyline { fill: none; stroke-width: 1.8; }
.key { display: inline-block; width: 14px; height: 3px; margin: 0 5px 4px 0; }
.legend span { margin-right: 14px; white-space: nowrap; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 8px; }
figure { margin: 0; } figcaption { color: #666; font-size: 13px; text-align: center; }
img { width: 100%; height: auto; display: block; image-rendering: pixelated; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: right; padding: 2px 10px; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid #ccd; } .small { color: #666; font-size: 13px; }
"""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        experiment: name.
        state: as text, such as ``running``.
        is_running: False once the training has ended.
        iteration: number of completed iterations.
        iterations: total number of iterations.
        seconds_left: remaining time, validations included; None if unknown.
    """

    experiment: str
    state: str
    is_running: bool
    iteration: int
    iterations: int
    seconds_left: float | None


def progress_page(
    progress: Progress, rows: Sequence[dict], dice_columns: Sequence[str], picture: ShownPicture | None
) -> str:
    """Return the page as HTML; while the training runs, it reloads itself periodically.

    Args:
        rows: of the log, one per validation.
        dice_columns: names of the columns with the Dice of a class.
    """
    now = datetime.now().astimezone()
    name = safe(progress.experiment)
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n' if progress.is_running else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{name}: iteration {progress.iteration} of {progress.iterations}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{name}</h1>
{_status(progress, rows, now)}
{curves_html(rows, dice_columns)}
{picture_html(picture)}
{_table(rows)}
</body>
</html>
"""


def _status(progress: Progress, rows: Sequence[dict], now: datetime) -> str:
    words = [f"<strong>{safe(progress.state)}</strong>", f"iteration {progress.iteration} of {progress.iterations}"]
    if rows:
        words.append(f"{_format(rows[-1].get('iterations_per_second'))} iterations per second")
    if progress.is_running and progress.seconds_left is not None:
        left = timedelta(seconds=round(progress.seconds_left))
        words.append(f"{left} left (h:mm:ss), until about {_clock(now + left, now)}")
    share = 100 * progress.iteration / max(1, progress.iterations)
    note = f"Written {now:%Y-%m-%d %H:%M:%S}, with every row of log.csv."
    if progress.is_running:
        note += f" The page loads itself again every {REFRESH_SECONDS} seconds; if that time stays, the training died."
    return (
        f'<p>{" · ".join(words)}</p>\n<div class="bar"><div style="width: {share:.1f}%"></div></div>\n'
        f'<p class="small">{note}</p>'
    )


def _clock(then: datetime, now: datetime) -> str:
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def curves_html(rows: Sequence[dict], dice_columns: Sequence[str]) -> str:
    """Return the curves of losses and Dice as HTML."""
    if not rows:
        return "<section><p>Curves come with the first validation.</p></section>"
    iterations = [row["iteration"] for row in rows]
    losses = [Curve(name, colour, [row.get(name) for row in rows]) for name, colour in _LOSS_COLOURS.items()]
    colours = CLASS_COLOURS * (len(dice_columns) // len(CLASS_COLOURS) + 1)
    dices = [Curve(name, colour, [row.get(name) for row in rows]) for name, colour in zip(dice_columns, colours)]
    drawn = (
        ("Loss", losses, plot_svg(iterations, losses, "iteration", "loss")),
        ("Dice on validation patches", dices, plot_svg(iterations, dices, "iteration", "Dice", (0, 1))),
    )
    sections = [
        f"<section><h2>{title}</h2>\n{_legend(curves)}\n{svg}</section>" for title, curves, svg in drawn if curves
    ]
    return f'<div class="curves">{"".join(sections)}</div>'


def _legend(curves: Sequence[Curve]) -> str:
    keys = [
        f'<span><i class="key" style="background: {curve.colour}"></i>{safe(curve.name)} '
        f"{_format(curve.values[-1])}</span> "
        for curve in curves
    ]
    return f'<p class="legend small">{"".join(keys)}</p>'


def picture_html(picture: ShownPicture | None) -> str:
    """Return the picture of a validation slice as a section of HTML; empty without one."""
    if picture is None:
        return ""
    panels = []
    for title, pixels in picture.panels.items():
        memory = io.BytesIO()
        plt.imsave(memory, np.ascontiguousarray(pixels.transpose(1, 2, 0)), format="png")
        content = base64.b64encode(memory.getvalue()).decode("ascii")
        panels.append(
            f'<figure><img alt="{title}" src="data:image/png;base64,{content}">'
            f"<figcaption>{title}</figcaption></figure>"
        )
    panels = "\n".join(panels)
    return (
        f'<section><h2>Validation slice</h2>\n<div class="panels">{panels}</div>\n<p>{safe(picture.caption)}</p>'
        "</section>"
    )


def _table(rows: Sequence[dict]) -> str:
    if not rows:
        return ""
    columns = list(rows[-1])
    head = "".join(f"<th>{safe(column)}</th>" for column in columns)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{_format(row.get(column))}</td>' for column in columns)}</tr>"
        for row in reversed(rows[-_ROWS_SHOWN:])
    )
    return (
        f'<section><h2>Last rows of log.csv, the latest first</h2>\n<div class="wide"><table>\n<tr>{head}</tr>\n'
        f"{body}\n</table></div></section>"
    )


def _format(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:d}" if isinstance(value, int) else f"{value:.4g}"
