"""Names of the files that a run writes into SAVE/<run>/<split>/, and recognition of such a folder.

What was found on validation cases lies beside the weights of a network, FINAL_<...>.<name>, or in the folder of an
ensemble's run, SAVE/<run>/<name>.
"""

from collections.abc import Iterable
from pathlib import Path

from base.names import check_name, is_of_a_system
from base.own_folders import refuse_foreign

RECORD = "predictions.json"  # marks the folder of a run
METRICS, MEMBERS, RANKINGS = "metrics.csv", "members.csv", "uncertainty.csv"
COMPARISON, COMPARISON_PICTURE, KEPT = "comparison.csv", "comparison.png", "kept.csv"
CALIBRATION, TRUST, QUALITY, ANNOTATE_NEXT = "calibration.csv", "trust.csv", "quality.csv", "annotate_next.csv"
REPORT, SUMMARY = "report.html", "summary.json"
COMPONENT_CHOICE, DICE_CALIBRATION = "keep_largest.json", "trust.json"
TABLES = (METRICS, MEMBERS, RANKINGS, COMPARISON, COMPARISON_PICTURE, KEPT)
TABLES += (CALIBRATION, TRUST, QUALITY, ANNOTATE_NEXT, REPORT, SUMMARY)
UNCERTAINTY, ENTROPY, MUTUAL_INFORMATION = "uncertainty", "entropy", "mutual_information"
MAPS = (UNCERTAINTY, ENTROPY, MUTUAL_INFORMATION)


def refuse_other_folder(folder: Path) -> None:
    """Raise InputError if `folder` is not empty and does not contain the results of a run."""
    refuse_foreign(folder, RECORD, "-r")


def holds_results(folder: Path) -> bool:
    """Return whether `folder` contains the results of a run or is empty."""
    return folder.is_dir() and ((folder / RECORD).is_file() or all(is_of_a_system(p.name) for p in folder.iterdir()))


def beside_weights(weights: Path, name: str) -> Path:
    """Return the path of what was found for a network, COMPONENT_CHOICE or DICE_CALIBRATION."""
    return weights.with_suffix(f".{name}")


def prediction_path(folder: Path, case_name: str) -> Path:
    return folder / f"{case_name}_prediction.nii.gz"


def overlay_path(folder: Path, case_name: str) -> Path:
    return folder / f"{case_name}_overlay.png"


def probability_path(folder: Path, case_name: str, class_name: str) -> Path:
    return folder / f"{case_name}_probability_{class_name}.nii.gz"


def map_path(folder: Path, case_name: str, map_name: str) -> Path:
    """Return the path of a map, one of `MAPS`."""
    return folder / f"{case_name}_{map_name}.nii.gz"


def remove_maps(folder: Path, case_name: str, class_names: Iterable[str]) -> None:
    """Remove the optional maps and probabilities of a case, whichever stage wrote them."""
    for path in (
        *(map_path(folder, case_name, name) for name in MAPS),
        *(probability_path(folder, case_name, name) for name in class_names),
    ):
        path.unlink(missing_ok=True)


def remove_results(folder: Path, case_names: Iterable[str], class_names: Iterable[str]) -> None:
    """Remove the tables of a run and the files of these cases; keep all other files in the folder.

    Names come from a record, which may be malicious: anything that is not a plain name is ignored.
    """
    for name in TABLES:
        (folder / name).unlink(missing_ok=True)
    class_names = list(filter(_is_name, class_names))
    for case_name in filter(_is_name, case_names):
        prediction_path(folder, case_name).unlink(missing_ok=True)
        overlay_path(folder, case_name).unlink(missing_ok=True)
        remove_maps(folder, case_name, class_names)


def _is_name(text: str) -> bool:
    try:
        return check_name(text) == text
    except ValueError:
        return False
