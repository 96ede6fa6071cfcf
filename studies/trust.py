"""How well the runs of a study know their own error: predicted Dice against Dice, on test cases."""

from collections.abc import Callable, Iterable
from statistics import fmean

from base.label_classes import MEAN
from studies.results import Results, values_of
from utils.comparison.paired_tests import PRIMARY
from utils.evaluation.trust_quality import Coverage, RiskCoverage, spearman

TRUST_HEADINGS = {
    "group": "",
    "seed": "seed",
    "cases": "cases",
    "dice": "Dice",
    "predicted": "predicted",
    "error": "mean absolute error",
    "spearman": "Spearman",
    "aurc": "AURC",
    "aurc_random": "of a random order",
    "aurc_best": "of the best order",
    "coverage": "patients above the 90% bound",
}


def trust_rows(results: Results, groups: Iterable[str], patient_of: Callable[[str], str]) -> list[dict[str, str]]:
    """Return a row of `TRUST_HEADINGS` for each group and seed that predicted the Dice of each of its test cases once.

    Ranks are those of cases; the bound holds for a patient if it does in all cases of `patient_of` name. Groups of
    several kinds of networks have several predictions of a case, and are left out.
    """
    trust = [row for row in results.read("trust") if row["split"] == "test" and row["predicted_dice"]]
    seeds = {row["run"]: row["seed"] for row in results.read("runs")}
    all_dices = results.read("cases")
    found = []
    for group in groups:
        own = [row for row in trust if row["group"] == group]
        for seed in dict.fromkeys(seeds[row["run"]] for row in own):
            rows = [row for row in own if seeds[row["run"]] == seed]
            if len({row["case"] for row in rows}) < len(rows):
                continue
            dices: dict[str, float] = {}
            for run in dict.fromkeys(row["run"] for row in rows):
                dices |= values_of((row for row in all_dices if row["group"] == group), run, "test")[MEAN, PRIMARY]
            found.append({"group": group, "seed": seed, **_quality(rows, dices, patient_of)})
    return found


def _quality(rows: list[dict], dices: dict[str, float], patient_of: Callable[[str], str]) -> dict[str, str]:
    predicted = {row["case"]: float(row["predicted_dice"]) for row in rows}
    bounds = {row["case"]: float(row["predicted_dice_low"]) for row in rows if row["predicted_dice_low"]}
    own = [dices[case] for case in predicted]
    curve, correlation = RiskCoverage.of(list(predicted.values()), own), spearman(list(predicted.values()), own)
    coverage = Coverage.of(bounds, dices, {case: patient_of(case) for case in bounds})
    return {
        "cases": str(len(own)),
        "dice": f"{fmean(own):.4f}",
        "predicted": f"{fmean(predicted.values()):.4f}",
        "error": f"{fmean(abs(value - dices[case]) for case, value in predicted.items()):.4f}",
        "spearman": "" if correlation is None else f"{correlation:.2f}",
        "aurc": f"{curve.aurc:.4f}",
        "aurc_random": f"{curve.aurc_random:.4f}",
        "aurc_best": f"{curve.aurc_best:.4f}",
        "coverage": ""
        if coverage is None
        else f"{coverage.share:.0%} of {coverage.patients} ({coverage.low:.0%} to {coverage.high:.0%})",
    }
