"""plan.md and plan.json of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from data.case_facts import CaseFacts
from stages.planning.data_set import DataSet, Outlier, quantiles
from stages.planning.hours import StageHours
from stages.planning.settings import Settings
from stages.planning.trial import Trial

_NAMES_SHOWN = 10
_WHAT_TO_DO = """\
Read `run.sh`, change what you know better, and start it: `bash run.sh`. A run that was stopped goes on with the same
command. `split.json` holds the split, `plan.json` all facts, case by case."""
_AXES = (("x", 2), ("y", 1), ("z", 0))


@dataclass(frozen=True)
class Plan:
    """A plan, as it is written.

    Attributes:
        origin: folder of the data set.
        mistakes: lines about files that seem to be left out by mistake.
    """

    origin: str
    data_set: DataSet
    settings: Settings
    trial: Trial
    hours: Sequence[StageHours]
    mistakes: Sequence[str]


def page_of(plan: Plan) -> str:
    """Return the text of plan.md."""
    data_set = plan.data_set
    parts = [f"# Plan of {plan.origin}", _summary(data_set), "![Distributions](plan.png)"]
    parts += ["## Facts", _geometry(data_set), _intensities(data_set), _classes(data_set)]
    parts += ["## Unusual", _unusual(data_set, plan.mistakes)]
    parts += ["## Settings", _settings(plan.settings)]
    parts += ["## Hours on this machine", _hours(plan.trial, plan.hours)]
    parts += ["## What to do", _WHAT_TO_DO]
    return "\n\n".join(parts) + "\n"


def record_of(plan: Plan, written: Mapping[str, str]) -> dict:
    """Return the content of plan.json.

    Args:
        written: SHA-256 of the files that the user may change, by name.
    """
    data_set, settings = plan.data_set, plan.settings
    networks = [{**asdict(one), "architecture": one.name} for one in settings.networks]
    trials = [
        {**asdict(one), "network": one.network.name, "batch_size": one.network.batch_size}
        for one in plan.trial.networks
    ]
    return {
        "data_set": plan.origin,
        "layout": data_set.layout,
        "settings": {**asdict(settings), "networks": networks},
        "trial": trials,
        "hours": {one.stage: one.hours for one in plan.hours},
        "outliers": {one.what: one.names for one in data_set.outliers()},
        "refused": {one.name: one.problem for one in data_set.refused},
        "cases": {case.name: _facts(case) for case in data_set.cases},
        "written": written,
    }


def _facts(case: CaseFacts) -> dict:
    facts = asdict(case)
    del facts["source"]
    return {"patient": case.source.owner, "split": case.source.split, **facts}


def _summary(data_set: DataSet) -> str:
    channels = len(data_set.channels)
    counts = f"{len(data_set.cases)} cases of {len(data_set.patients)} patients, layout {data_set.layout}"
    counts += f", {channels} channel{'s' if channels > 1 else ''}"
    annotated = f"{len(data_set.annotated)} cases of {len(data_set.annotated_patients)} patients have references"
    refused = f"; {len(data_set.refused)} cases are refused" if data_set.refused else ""
    return f"{counts}. {annotated}{refused}."


def _geometry(data_set: DataSet) -> str:
    rows = [(f"size {name}, voxels", *quantiles(data_set.shapes[:, axis], "{:.0f}".format)) for name, axis in _AXES]
    rows += [(f"voxel {name}, mm", *quantiles(data_set.spacings_mm[:, axis])) for name, axis in _AXES]
    rows += [(f"field of view {name}, mm", *quantiles(data_set.sides_mm[:, axis])) for name, axis in _AXES]
    orientations = ", ".join(f"{name} ({count})" for name, count in data_set.orientations)
    note = (
        f"Orientations of the files: {orientations}. Sizes are along the patient's axes: x to the left, y to the back, "
    )
    return f"{_table(('', 'smallest', 'median', 'largest'), rows)}\n\n{note}z to the head."


def _intensities(data_set: DataSet) -> str:
    rows = []
    for channel in data_set.channels:
        kind = "Hounsfield units" if data_set.share_with_air(channel) > 0.5 else "arbitrary units"
        facts = [case.channels[channel] for case in data_set.cases]
        for title, name in (("0.5 percentile", "low"), ("median", "median"), ("99.5 percentile", "high")):
            label = f"{channel + ', ' if channel else ''}{title} ({kind})"
            rows.append((label, *quantiles(np.array([getattr(one, name) for one in facts]), "{:.4g}".format)))
    return _table(("intensities", "smallest", "median", "largest"), rows)


def _classes(data_set: DataSet) -> str:
    columns = ("label", "cases", "volume, ml: smallest", "median", "largest", "components: median", "most")
    columns += ("extent of a component, mm: smallest", "largest", "median of each case's largest")
    rows = []
    for one in data_set.classes:
        extents = np.median(one.boxes_mm.max(axis=1))
        components = (f"{np.median(one.components):g}", str(one.components.max()))
        sizes = (f"{one.smallest_mm:.3g}", f"{one.largest_mm:.3g}", f"{extents:.3g}")
        rows.append((str(one.label), str(len(one.structures)), *quantiles(one.volumes_ml), *components, *sizes))
    return _table(columns, rows) + "\n\nThe extent of a component is the longest side of its bounding box."


def _unusual(data_set: DataSet, mistakes: Sequence[str]) -> str:
    lines = [f"- {_outlier(one)}" for one in data_set.outliers()]
    lines += [f"- refused: {one.name}: {one.problem}" for one in data_set.refused]
    lines += [f"- not taken, by mistake as it seems: {line}" for line in mistakes]
    return "\n".join(lines) or "Nothing."


def _outlier(outlier: Outlier) -> str:
    counted = f"{outlier.what}: {len(outlier.names)} of {outlier.of} cases"
    if 2 * len(outlier.names) > outlier.of:
        return f"{counted}, most of them: it may be the nature of these data"
    names = ", ".join(outlier.names[:_NAMES_SHOWN])
    more = f" and {len(outlier.names) - _NAMES_SHOWN} more, in plan.json" if len(outlier.names) > _NAMES_SHOWN else ""
    return f"{counted}: {names}{more}"


def _settings(settings: Settings) -> str:
    rows = [(one.what, one.value, one.reason, one.figure) for one in settings.choices]
    return _table(("setting", "proposal", "reason", "it rests on"), rows)


def _hours(trial: Trial, hours: Sequence[StageHours]) -> str:
    rows = [
        (one.network.name, f"{one.seconds_a_step:.2g}", f"{one.seconds_a_case:.2g}", _gigabytes(one.peak_memory_mb))
        for one in trial.networks
    ]
    tried = _table(("network", "seconds a step", "seconds a case", "peak memory, GB"), rows)
    stages = [(one.stage, f"{one.hours:.2g}") for one in hours]
    stages.append(("all", f"{sum(one.hours for one in hours):.2g}"))
    note = "Measured now, with 20 steps of each network and one predicted case; a machine that is busy takes longer."
    return f"{note}\n\n{tried}\n\n{_table(('stage', 'hours'), stages)}"


def _gigabytes(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes / 1000:.1f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
