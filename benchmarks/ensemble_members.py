"""Peak memory of a large ensemble against a small one, and its time against the forward passes of its members."""

import sys
from functools import partial
from pathlib import Path

import ensemble
from benchmarks.forward_passes import ForwardPasses
from benchmarks.material import ROOT, prepared_cases
from benchmarks.measure import Row, run_alone, run_measured, side_by_side
from benchmarks.networks_at_hand import CLASSES, members_like, trained_network

RECEPTIVE_FIELD = 35
SMALL, LARGE = 2, 8
REPEATS = 3


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    data, save = prepared_cases(data_folder, work_folder), work_folder / "SAVE"
    members = members_like(trained_network(data, save, RECEPTIVE_FIELD), work_folder / "members", LARGE)
    options = {count: _options(data, save, members[:count], work_folder) for count in (1, SMALL, LARGE)}
    peaks = [run_measured([sys.executable, ROOT / "ensemble.py", *options[count]])[1] / 1e6 for count in (LARGE, SMALL)]
    whole, one = side_by_side(partial(_average, options[LARGE]), ForwardPasses(partial(_average, options[1])), REPEATS)
    return [
        Row(f"ensemble of {LARGE}, dil2D rf {RECEPTIVE_FIELD}, peak memory", f"of {SMALL}", *peaks, 1.05, "MB"),
        Row(
            f"ensemble.py, {LARGE} members, dil2D rf {RECEPTIVE_FIELD}",
            f"{LARGE} × forward passes of one",
            whole,
            LARGE * one,
            1.1,
            "s",
        ),
    ]


def _average(options: list[str]) -> None:
    ensemble.main(ensemble.build_parser().parse_args(options))


def _options(data: Path, save: Path, members: list[Path], work_folder: Path) -> list[str]:
    """Return the options of ensemble.py for some members."""
    listed = work_folder / f"{len(members)}_members.txt"
    listed.write_text("\n".join(str(path) for path in members), encoding="utf-8")
    options = ["-d", data, "-s", save, "-e", "val", "--classes", CLASSES, "-r", f"ensemble_of_{len(members)}"]
    options += ["--trained-networks", listed, "--soft-labels", work_folder / f"soft_labels_of_{len(members)}"]
    return [*map(str, options), "--overwrite"]


def main() -> None:
    run_alone("ensembles", run)


if __name__ == "__main__":
    main()
