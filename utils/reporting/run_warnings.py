"""Warnings about a run that a reader of its report has to know."""

from utils.evaluation.run_results import annotated_in_part, name_of
from utils.reporting.run_figures import RunFigures

_SHOWN = 5  # names of cases
_FEW_PATIENTS = 10


def warnings_of(run: RunFigures) -> list[str]:
    """Return the warnings as sentences."""
    found = []
    expected = set(run.record.cases or run.rows)
    if missing := sorted(expected - run.rows.keys()):
        found.append(f"Not finished: {len(missing)} of {len(expected)} cases are missing ({_some(missing)}).")
    unlike = [case for case, rows in run.rows.items() if rows[0]["intensity_warning"]]
    if unlike:
        found.append(
            f"Intensities of {len(unlike)} cases are unlike those of the training scans ({_some(unlike)}): the "
            "network may be wrong on them."
        )
    scored = run.scored
    if not scored:
        found.append("No case has a reference: nothing is measured, and predicted values are all there is.")
    elif len(scored) < len(run.rows):
        found.append(f"{len(run.rows) - len(scored)} of {len(run.rows)} cases have no reference and are not measured.")
    if in_part := sorted(annotated_in_part(run.rows)):
        found.append(
            f"References of {len(in_part)} cases are annotated in part ({_some(in_part)}): their Dice counts annotated "
            "voxels alone, and does not tell what is wrong elsewhere."
        )
    patients = {run.patients[case] for case in scored}
    if scored and len(patients) < _FEW_PATIENTS:
        number = "1 patient is" if len(patients) == 1 else f"{len(patients)} patients are"
        found.append(f"Only {number} measured: means are uncertain.")
    for name in run.regions:
        volumes = run.values(name, "reference_volume_ml")
        if volumes and not any(volumes.values()):
            found.append(
                f"Class {name} is empty in every reference: its Dice is 1 where the prediction is empty, too, and 0 "
                "where it is not."
            )
        failed = [case for case, value in run.values(name, "dice").items() if value == 0]
        if failed:
            found.append(f"Class {name} has a Dice of 0 in {len(failed)} cases ({_some(failed)}).")
    if run.record.ensemble and run.record.ensemble.clip:
        found.append("Predictions are clipped to the reference's foreground: their Dice does not hold for new scans.")
    if run.split == "train":
        found.append("These are training cases: unless the networks are out-of-fold, new scans give worse results.")
    if run.rows and not run.record.surface_dice:
        found.append(f"The run has {name_of(None)}.")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
