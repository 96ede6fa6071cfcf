"""Numbers and results in words that can be quoted."""

from collections.abc import Mapping

from base.label_classes import MEAN
from utils.comparison.paired_tests import PRIMARY

NAMES = {
    "dice": "Dice",
    "surface_dice": "surface Dice",
    "asd_mm": "average surface distance (mm)",
    "hausdorff_mm": "Hausdorff distance (mm)",
    "hausdorff95_mm": "95th percentile Hausdorff distance (mm)",
    "ece": "calibration error",
    "brier": "Brier score",
}
_LEVEL = 0.05


def number(value: float | str | None, digits: int = 3) -> str:
    """Return a value of a table or measure as text; a dash where there is none."""
    return "–" if value in (None, "") else f"{float(value):.{digits}f}"


def digits_of(measure: str) -> int:
    """Return the number of decimals that a measure is shown with."""
    return 1 if measure.endswith("mm") else 4 if measure in ("ece", "brier") else 3


def interval(low: float | str | None, high: float | str | None, digits: int = 3, sign: str = "") -> str:
    """Return ``0.871 to 0.902``; ``no limit`` for a limit that does not exist, empty without both."""
    if low in (None, "") and high in (None, ""):
        return ""
    return " to ".join("no limit" if one in (None, "") else f"{float(one):{sign}.{digits}f}" for one in (low, high))


def p_value(text: str) -> str:
    """Return ``p = 0.012`` or ``p < 0.0001``."""
    return "p not defined" if text == "" else "p < 0.0001" if float(text) < 0.0001 else f"p = {float(text):.4f}"


def comparison_sentence(name: str, row: Mapping[str, str]) -> str:
    """Return the comparison of a run with another, by the row of its Dice in comparison.csv."""
    what = "mean Dice over the classes" if row["class"] == MEAN else f"Dice of class {row['class']}"
    limits = interval(row["low"], row["high"], 4, "+")
    sentence = (
        f"In {row['patients']} patients, {name} has a {what} of {float(row['mean']):.4f}, against"
        f" {float(row['against_mean']):.4f} of {row['against']}: a difference of {float(row['difference']):+.4f}"
        f"{f' (95% confidence interval {limits})' if limits else ''}; Wilcoxon's signed-rank test by patient,"
        f" {p_value(row['p_wilcoxon'])}, {p_value(row['p_holm'])} after Holm's correction."
    )
    if float(row["p_holm"]) < _LEVEL:
        if row["low"] != "" and float(row["low"]) > 0:
            better = f"{name} is better"
        elif row["high"] != "" and float(row["high"]) < 0:
            better = f"{row['against']} is better"
        else:  # such as a small loss in most patients and a large gain in a few
            better = "but the interval of the mean holds 0, so that neither is shown to be better"
        sentence += f" The difference is significant: {better}."
    else:
        sentence += " A difference is not shown, which does not mean that there is none."
    if row["margin"]:
        is_shown = row["p_non_inferior"] != "" and float(row["p_non_inferior"]) < _LEVEL
        sentence += (
            f" That {name} loses less than {float(row['margin']):g} of Dice (non-inferiority, one-sided) is"
            f"{'' if is_shown else ' not'} shown: {p_value(row['p_non_inferior'])}."
        )
    return sentence


def primary_rows(rows: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return, for each other run of comparison.csv, the row of the Dice over all classes."""
    dice = [row for row in rows if row["measure"] == PRIMARY]
    has_mean = {row["against"] for row in dice if row["class"] == MEAN}
    seen: dict[str, Mapping[str, str]] = {}
    for row in dice:
        if row["class"] == MEAN or row["against"] not in has_mean:
            seen.setdefault(row["against"], row)
    return list(seen.values())


def kept_sentences(rows: list[Mapping[str, str]]) -> list[str]:
    """Return what a student keeps of its ensemble's gain, and at what cost, by the rows of kept.csv."""
    by_role = {row["role"]: row for row in rows}
    if not {"single", "ensemble", "student"} <= by_role.keys():
        return []
    single, ensemble, student = (by_role[role] for role in ("single", "ensemble", "student"))
    gain = float(ensemble["mean_dice"]) - float(single["mean_dice"])
    if student["kept"] == "":
        first = f"The ensemble gains nothing over {single['run']} ({gain:+.4f} mean Dice): there is nothing to keep."
    else:
        limits = " to ".join(
            "no limit" if one == "" else f"{float(one):.0%}" for one in (student["kept_low"], student["kept_high"])
        )
        kept = float(student["kept"])
        first = (
            f"The ensemble gains {gain:+.4f} mean Dice over {single['run']}; the student keeps {kept:.0%} of this gain"
            f" (95% interval {limits}){': it is below that network' if kept < 0 else ''}."
        )
    seconds, parameters = (float(student[key]) / float(ensemble[key]) for key in ("seconds", "parameters"))
    cost = (
        f"Cost of a scan: {float(student['seconds']):.3g} s for the student, {float(ensemble['seconds']):.3g} s for the"
        f" ensemble ({seconds:.0%}); {int(student['parameters']):,} parameters against {int(ensemble['parameters']):,}"
        f" ({parameters:.0%}). Times are comparable only if both ran on the same machine."
    )
    return [first, cost]
