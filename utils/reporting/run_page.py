"""The page of a run: what it found, case by case, and how far to trust it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from urllib.parse import quote

from base.label_classes import MEAN
from base.run_files import COMPARISON_PICTURE, REPORT
from utils.evaluation.case_measures import MEASURES
from utils.evaluation.run_results import name_of
from utils.pages.page import embedded, page, paragraph, section, table
from utils.pages.plain_text import safe
from utils.reporting import run_charts
from utils.reporting.case_rows import case_table
from utils.reporting.provenance import Provenance
from utils.reporting.run_figures import Headline, RunFigures
from utils.reporting.run_warnings import warnings_of
from utils.reporting.words import (
    NAMES,
    comparison_sentence,
    digits_of,
    interval,
    kept_sentences,
    number,
    primary_rows,
)

_RANDOM_IS_GOOD = (
    "An order is a proposal: in active learning for segmentation, a random order is hard to beat. The first round "
    "holds the most doubtful scans that are unlike each other."
)
_ESTIMATES = {
    "agreement": "the agreement between the networks' segmentations",
    "expected_dice": "the Dice expected under their probabilities",
}
_FEWEST_RANKED = 3  # cases, to judge their order


def run_page(run: RunFigures, made: Provenance) -> str:
    """Return the page as HTML."""
    scored, patients = run.scored, set(run.patients.values())
    kind = f"ensemble of {len(run.record.networks)}" if run.is_ensemble else "one network"
    if not run.is_ensemble and any(one.is_student for one in (run.record.networks or {}).values()):
        kind = "student"
    cases = f"{len(run.rows)} cases of {len(patients)} patients, {len(scored)} with a reference"
    return page(
        f"{run.name}, {run.split}",
        [
            f"<h1>{safe(run.name)}</h1>",
            paragraph(f"{kind} · split {run.split} · {cases}"),
            paragraph(f"Written {made.written}.", "small"),
            _warnings(run),
            section("Results", _headlines(run), _cost(run)),
            section("Comparison with other runs", *_comparison(run)),
            section("Cases", case_table(run)),
            section("Distributions", run_charts.distributions(run)),
            section("Calibration of probabilities", run_charts.reliability(run)),
            section("Trust without a reference", *_trust(run)),
            section("Members of the ensemble", *_members(run)),
            section("Annotate next", *_annotate_next(run)),
            section("How it was made", *_made(run, made)),
        ],
    )


def _warnings(run: RunFigures) -> str:
    items = "".join(f"<li>{safe(text)}</li>" for text in warnings_of(run))
    return section("Please note", f"<ul>{items}</ul>" if items else "", kind="warnings")


def _headlines(run: RunFigures) -> str:
    """Return the table of means: a row for each measure, a column for all classes together and for each region."""
    names = {MEAN: "mean of classes"} if len(run.classes) > 1 else {}
    names |= {region: f"class {region}" for region in run.regions}
    rows = []
    for measure in MEASURES:
        found = [run.headline(region, measure) for region in names]
        if not any(found):
            continue
        cells = [_headline_cell(one, len(run.scored)) for one in found]
        rows.append([f"{NAMES[measure]} {'↑' if MEASURES[measure] else '↓'}", *cells])
    if not rows:
        return ""
    note = (
        "Means over patients with 95% confidence intervals (studentized bootstrap over patients; none for fewer than "
        "6 patients or equal values). ↑: higher is better, ↓: lower. A number of cases is given where a measure is not "
        "defined in all: distances are not where prediction or reference is empty."
    )
    return table(["", *names.values()], rows) + paragraph(note, "small")


def _headline_cell(one: Headline | None, scored: int) -> str:
    """Return a mean with its interval, and the number of cases if it is not that of all `scored` cases."""
    if one is None:
        return "–"
    digits = digits_of(one.measure)
    limits = interval(one.low, one.high, digits)
    counted = f" in {one.cases} cases" if one.cases < scored else ""
    return f"{one.mean:.{digits}f}" + (f" ({limits})" if limits else "") + counted


def _cost(run: RunFigures) -> str:
    words = []
    if run.seconds is not None:
        words.append(f"{run.seconds:.3g} seconds a scan")
    if run.parameters is not None:
        words.append(f"{run.parameters:,} parameters")
    if run.peak_memory_mb is not None:
        words.append(f"up to {run.peak_memory_mb:,.0f} MB of main memory")
    return paragraph("Cost: " + ", ".join(words) + ".") if words else ""


def _comparison(run: RunFigures) -> list[str]:
    """Return the comparison in words, the share of the gain that a student keeps, and the picture."""
    rows = run.comparison
    if not rows:
        return []
    parts = [paragraph(sentence) for sentence in kept_sentences(run.kept)]
    for row in primary_rows(rows):
        link = safe(f"../../{quote(row['against'])}/{quote(run.split)}/{REPORT}")
        parts.append(paragraph(comparison_sentence(run.name, row)))
        parts.append(f'<p class="small"><a href="{link}">report of {safe(row["against"])}</a></p>')
    picture = run.folder / COMPARISON_PICTURE
    if picture.is_file():
        parts.append(f'<img alt="Dice of all runs, differences of patients" src="{embedded(picture.read_bytes())}">')
    shown = [
        [
            row["against"],
            NAMES.get(row["measure"], row["measure"]),
            row["class"],
            row["patients"],
            *(number(row[key], 4) for key in ("mean", "against_mean")),
            f"{float(row['difference']):+.4f}",
            interval(row["low"], row["high"], 4, "+") or "–",
            *(number(row[key], 4) for key in ("p_wilcoxon", "p_holm", "p_non_inferior")),
        ]
        for row in rows
    ]
    head = ["against", "measure", "class", "patients", "mean", "other mean", "difference", "95% interval"]
    head += ["p", "p (Holm)", "p (not inferior)"]
    details = table(head, shown, text_columns=(1,))
    return [*parts, f"<details><summary>All measures and classes</summary>{details}</details>"]


def _trust(run: RunFigures) -> list[str]:
    """Return what is known of the error without a reference, and how good that is where there are references."""
    if not run.trust.rows:
        return []
    predicted = any(row["predicted_dice"] is not None for row in run.trust.rows.values())
    ensemble = run.record.ensemble
    if ensemble and ensemble.clip:
        text = "No Dice is predicted: it would not hold for new scans, which have no references to clip to."
        return [paragraph(text)]
    if not predicted:
        text = (
            "The Dice of cases without a reference is predicted once it is calibrated: predict validation cases that "
            "have references, and that were not trained on, with the same networks (-e val)."
        )
        return [paragraph(text)]
    bounds = [row["bound_patients"] for row in run.trust.rows.values() if row["bound_patients"]]
    text = "Predicted Dice comes from what the networks know of their own errors, calibrated on validation patients. "
    if bounds:
        text += (
            f'The lower bound ("at least") holds for a new patient like the {int(min(bounds))} validation patients '
            "with a probability of 90% (split conformal prediction)."
        )
    else:
        text += "There is no lower bound: that takes at least 9 validation patients."
    if run.split == "val":
        text += " Each validation patient's values come from the other patients."
    by_score = {(row["class"], row["score"]): row for row in run.quality}
    rows = [
        [
            region,
            *(number(row[key], 4) for key in ("aurc", "aurc_random", "aurc_best", "spearman")),
            _coverage(by_score[region, "predicted_dice"]) if (region, "predicted_dice") in by_score else "–",
        ]
        for (region, score), row in by_score.items()
        if score == run.trust.estimator and int(row["cases"]) >= _FEWEST_RANKED
    ]
    head = ["class", "AURC ↓", "random order", "best order", "Spearman ↑", "patients above the bound"]
    quality = table(head, rows) if rows else ""
    order = _ESTIMATES[run.trust.estimator]
    note = f"Cases are trusted in the order of {order}. AURC: area under the risk–coverage curve."
    return [paragraph(text), run_charts.trust(run), quality, paragraph(note, "small") if rows else ""]


def _coverage(row: Mapping[str, str]) -> str:
    if row["coverage"] == "":
        return "–"
    limits = " to ".join(f"{float(row[key]):.0%}" for key in ("coverage_low", "coverage_high"))
    return f"{float(row['coverage']):.0%} of {row['coverage_patients']} ({limits})"


def _members(run: RunFigures) -> list[str]:
    """Return the members' own Dice, what the ensemble loses without each, and how far they disagree."""
    rows = run.members
    if not rows:
        return []
    names = list(dict.fromkeys(row["member"] for row in rows))
    classes = list(dict.fromkeys(row["class"] for row in rows))
    shown = []
    for name in names:
        for region in classes:
            own = [row for row in rows if (row["member"], row["class"]) == (name, region)]
            paired = [row for row in own if row["dice_without"]]  # not the cases that it predicts alone
            ensemble, without = (_mean(paired, key) for key in ("ensemble_dice", "dice_without"))
            lost = "–" if ensemble is None or without is None else f"{ensemble - without:+.4f}"
            shown.append([name, region, number(_mean(own, "dice"), 4), number(without, 4), lost])
    head = ["member", "class", "Dice alone", "Dice of the ensemble without it", "contribution"]
    parts = [table(head, shown)]
    if len(names) > 1:
        cells = [
            [
                name,
                *(
                    number(_mean([row for row in rows if row["member"] == name], f"disagreement {other}"))
                    for other in names
                ),
            ]
            for name in names
        ]
        parts += [
            "<h3>Disagreement between members (1 - Dice, mean over cases and classes)</h3>",
            table(["", *names], cells),
        ]
    areas = {}
    for row in run.rankings:
        if row["error_ranking"]:
            areas.setdefault(row["map"], []).append(float(row["error_ranking"]))
    if areas:
        cells = [[name.replace("_", " "), f"{fmean(some):.3f}", str(len(some))] for name, some in areas.items()]
        parts += [
            "<h3>How well uncertainty maps rank errors near boundaries (area under the ROC curve)</h3>",
            table(["map", "mean", "cases"], cells),
        ]
    return parts


def _mean(rows: Sequence[Mapping[str, str]], column: str) -> float | None:
    values = [float(row[column]) for row in rows if row.get(column)]
    return fmean(values) if values else None


def _annotate_next(run: RunFigures) -> list[str]:
    rows = run.annotate_next
    if not rows:
        return []
    cells = [
        [row["place"], row["case"], row["round"], number(row["doubt"]), number(row["predicted_dice"])]
        for row in rows[:20]
    ]
    more = f"The first {len(cells)} of {len(rows)} scans without a reference; annotate_next.csv has all. "
    return [paragraph(more + _RANDOM_IS_GOOD), table(["", "case", "round", "doubt", "predicted Dice"], cells, (1,))]


def _made(run: RunFigures, made: Provenance) -> list[str]:
    record = run.record
    rows = [["last command", made.command], ["folder", str(run.folder)]]
    rows += [["versions", ", ".join(f"{name} {version}" for name, version in made.versions.items())]]
    rows += [[f"weights of {name}", f"SHA-256 {digest}"] for name, digest in (record.weights or {}).items()]
    settings = asdict(record.settings) if record.settings else {}
    rows += [[name.replace("_", " "), str(value)] for name, value in settings.items() if value is not None]
    rows.append(["classes", ", ".join(record.classes.shown)])
    rows.append(["definition", f"{name_of(record.surface_dice)}, tolerance {record.tolerance_mm} mm"])
    body = "".join(f'<tr><td>{safe(name)}</td><td class="long">{safe(text)}</td></tr>\n' for name, text in rows)
    return [f"<table>{body}</table>"]
