"""Charts of a report: distributions, Bland–Altman, reliability, trust."""

from collections.abc import Iterator
from itertools import cycle
from statistics import fmean, stdev

import numpy as np

from base.label_classes import MEAN
from utils.evaluation.trust_quality import RiskCoverage
from utils.pages.page import legend
from utils.pages.plain_text import safe
from utils.pages.svg_axes import Axes
from utils.pages.svg_curves import Curve, plot_svg
from utils.pages.svg_points import Points, mark_of, range_around, scatter_svg, strips_svg
from utils.reporting.run_figures import RunFigures
from utils.runtime.figures import CLASS_COLOURS

_AGREEMENT, _FEWEST_FOR_LIMITS = 1.96, 3  # standard deviations to the limits of agreement; cases
_LOWEST_SHOWN = 0.9  # a Dice axis begins at 0 unless all values are above


def distributions(run: RunFigures) -> str:
    """Return strips of Dice and Hausdorff distances, and the Bland–Altman chart of volumes."""
    charts = []
    dice = _groups(run, "dice")
    if dice:
        lowest = min(x for group in dice for x, _, _ in group.points)
        charts.append(_chart("Dice", strips_svg(dice, (_low_end(lowest), 1.0), "Dice")))
    distance = _groups(run, "hausdorff_mm")
    if distance:
        highest = max(x for group in distance for x, _, _ in group.points)
        strips = strips_svg(distance, (0.0, 1.05 * highest or 1.0), "Hausdorff distance, mm")
        charts.append(_chart("Hausdorff distance", strips))
    charts += _bland_altman(run)
    note = '<p class="small">Each mark is a case; boxes are quartiles, lines medians. Point at a mark for its name.</p>'
    return f'<div class="charts">{"".join(charts)}</div>{note}' if charts else ""


def _low_end(lowest: float) -> float:
    return float(np.floor(20 * lowest - 0.01) / 20) if lowest > _LOWEST_SHOWN else 0.0


def _coloured(run: RunFigures) -> Iterator[tuple[int, str, str]]:
    """Yield the number, name and colour of each region."""
    for place, (name, colour) in enumerate(zip(run.regions, cycle(CLASS_COLOURS))):
        yield place, name, colour


def _groups(run: RunFigures, measure: str) -> list[Points]:
    groups = []
    for _, name, colour in _coloured(run):
        values = run.values(name, measure)
        groups.append(Points(name, colour, [(value, 0.0, f"{case}: {value:.4g}") for case, value in values.items()]))
    return groups if any(group.points for group in groups) else []


def _chart(title: str, *parts: str) -> str:
    return f"<div><h3>{safe(title)}</h3>\n{''.join(parts)}</div>"


def _bland_altman(run: RunFigures) -> Iterator[str]:
    """Yield a chart of volumes for each region, with the mean difference and the limits of agreement.

    Bland and Altman, Statistical methods for assessing agreement, Lancet 327, 1986.
    """
    for place, name, colour in _coloured(run):
        predicted, true = run.values(name, "volume_ml"), run.values(name, "reference_volume_ml")
        pairs = {case: ((predicted[case] + true[case]) / 2, predicted[case] - true[case]) for case in true}
        if not pairs or not any(any(pair) for pair in pairs.values()):
            continue
        differences = [difference for _, difference in pairs.values()]
        bias, limits = fmean(differences), ()
        text = f"mean difference {bias:+.3g} ml"
        if len(differences) >= _FEWEST_FOR_LIMITS:
            spread = _AGREEMENT * stdev(differences)
            limits = (bias - spread, bias + spread)
            text += f", limits of agreement {limits[0]:+.3g} to {limits[1]:+.3g} ml"
        points = [(*pair, f"{case}: {pair[1]:+.3g} ml") for case, pair in pairs.items()]
        x_range = range_around([0.0, *(x for x, _, _ in points)])
        y_range = range_around([0.0, *differences, *limits])
        axes = Axes(x_range, y_range, "mean of both, ml", "prediction - reference, ml")
        heights = ((0.0, True), (bias, False), *((limit, True) for limit in limits))
        lines = [((x_range[0], height), (x_range[1], height), dashed) for height, dashed in heights]
        groups = [*[Points("", colour, [])] * place, Points(name, colour, points)]
        yield _chart(
            f"Volume of class {name} (Bland–Altman)", scatter_svg(groups, axes, lines), f'<p class="small">{text}</p>'
        )


def reliability(run: RunFigures) -> str:
    """Return the reliability curves: how often voxels of a given probability belong to the class."""
    groups = []
    for _, name, colour in _coloured(run):
        one = run.reliability.get(name)
        if one is not None and one.voxels.any():
            filled = one.voxels > 0
            pairs = zip(one.probabilities[filled] / one.voxels[filled], one.outcomes[filled] / one.voxels[filled])
            counts = one.voxels[filled]
            points = [(float(x), float(y), f"{int(n)} voxels") for (x, y), n in zip(pairs, counts)]
            groups.append(Points(f"class {name}", colour, points))
    if not groups:
        return ""
    axes = Axes((0.0, 1.0), (0.0, 1.0), "predicted probability", "share that belongs to the class")
    chart = scatter_svg(groups, axes, [((0.0, 0.0), (1.0, 1.0), True)])
    text = (
        "Probabilities of the voxels within 5 mm of the reference's foreground, all cases together, in 15 bins. On the "
        "dashed line they can be taken at their word; below it, the network is too sure of the class."
    )
    return f'<div class="charts"><div>{_legend(groups)}{chart}</div><div><p>{text}</p></div></div>'


def _legend(groups: list[Points]) -> str:
    return legend((group.name, group.colour, mark_of(place)) for place, group in enumerate(groups))


def trust(run: RunFigures) -> str:
    """Return predicted against measured Dice, and the risk–coverage curve, of the mean over the classes."""
    overall = MEAN if len(run.classes) > 1 else run.classes[0]
    dices, predicted = run.values(overall, "dice"), run.trust.column(overall, "predicted_dice")
    cases = [case for case in predicted if case in dices]
    if len(cases) < 2:
        return ""
    x, y = [predicted[case] for case in cases], [dices[case] for case in cases]
    low = _low_end(min(*x, *y))
    axes = Axes((low, 1.0), (low, 1.0), "predicted Dice", "measured Dice")
    points = Points("", CLASS_COLOURS[0], [(a, b, case) for a, b, case in zip(x, y, cases)])
    scatter = scatter_svg([points], axes, [((low, low), (1.0, 1.0), True)])
    estimates = run.trust.column(overall, run.trust.estimator)
    curve = RiskCoverage.of([estimates[case] for case in cases], y)
    shares = [100 * (place + 1) / len(cases) for place in range(len(cases))]
    best = RiskCoverage.of(y, y)
    curves = [
        Curve("by estimate", CLASS_COLOURS[0], curve.risks.tolist()),
        Curve("best possible order", CLASS_COLOURS[1], best.risks.tolist()),
        Curve("random order", "#8a8a8a", [curve.aurc_random] * len(cases)),
    ]
    risk = plot_svg(shares, curves, "trusted cases, %", "1 - mean Dice", (0.0, 1.05 * max(curve.risks.max(), 1e-3)))
    keys = legend((one.name, one.colour, "━") for one in curves)
    charts = _chart("Predicted and measured Dice", scatter) + _chart("Risk of trusted cases", keys, risk)
    return f'<div class="charts">{charts}</div>'
