"""The study with stubs of the four scripts: calls, choices, stored results, and what is not run again."""

import json

import pytest

from studies.hippocampus.__main__ import main
from tests.material import rows_of
from utils.evaluation.run_results import COLUMNS

# A stub of every script. The Dice of a network follows from its options.
STAND_IN = """
import argparse, csv, json, sys, zlib
from pathlib import Path

parser = argparse.ArgumentParser()
for option in ("-d", "-s", "-r", "-x", "-i", "-n", "-e", "-o", "-b"):
    parser.add_argument(option)
for option in ("network-weights", "trained-networks", "soft-labels", "alpha", "softloss", "features", "fold"):
    parser.add_argument("--" + option)
for option in ("cross-fit", "soft"):
    parser.add_argument("--" + option, action="store_true")
args, _ = parser.parse_known_args()


def dice_of(name):
    known = json.loads((Path(args.s) / name / "experiment.json").read_text())
    return known["dice"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def predict(name, networks, dice):
    folder = Path(args.s) / name / args.e
    cases = [f"{args.e}_{number}" for number in range(12)]
    classes = {"names": ["0", "1", "2"], "labels": [[0], [1], [2]]}
    record = {"cases": dict.fromkeys(cases, {"image": ""}), "classes": classes, "regions": ["1", "2"]}
    record |= {"networks": networks, "tolerance_mm": 1, "weights": {}}
    write(folder / "predictions.json", json.dumps(record))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number, case in enumerate(cases):
            noise = (zlib.crc32(f"{name} {case}".encode()) % 100) / 1e5
            for region in "12":
                row = dict.fromkeys(COLUMNS, 0.5)
                seconds = 0.1 * len(networks)
                row |= {"case": case, "class": region, "dice": dice + noise + number / 1000, "seconds": seconds}
                if name.startswith("quarter"):  # predicts no foreground: distances are undefined
                    row |= {"asd_mm": "", "hausdorff95_mm": ""}
                writer.writerow(row)


script = Path(sys.argv[0]).name
if script == "resample_data.py":
    Path(args.o).mkdir(parents=True)
elif script == "training_network.py":
    dice = {"dil2D": 0.80, "UNet3D": 0.82}[args.n] - (args.d.endswith("FEW") and not args.soft) * 0.05
    if args.soft:
        assert (Path(args.soft_labels) / "train").is_dir()
        dice += 0.01 + {"0": 0, "0.1": 0.001, "0.5": 0.002, "1": 0.001}[args.alpha] - (args.softloss != "KL") * 0.005
        dice += ("cross-fitted" in args.soft_labels) * 0.001 + args.soft_labels.endswith("t4") * 0.001
    known = {"dice": dice, "training_cases": ["a"] * 130}
    folder = Path(args.s) / args.r
    write(folder / "experiment.json", json.dumps(known))
    write(folder / "log.csv", f"iteration,iterations_per_second\\n6,0.1\\n{args.i},0.2\\n")
    write(folder / f"FINAL_{args.r}_{args.i}.pth", "")
elif script == "testing_network.py":
    name = Path(args.network_weights).parent.name
    predict(name, {name: {"parameters": 50000, "is_student": "student" in name}}, dice_of(name))
else:
    members = [Path(line).parent.name for line in Path(args.trained_networks).read_text().split()]
    (Path(args.soft_labels) / args.e).mkdir(parents=True, exist_ok=True)
    networks = {name: {"parameters": 50000, "is_student": False} for name in members}
    predict(args.r, networks, max(dice_of(name) for name in members) + 0.01)
    order = "".join(f"train_{number}\\n" for number in range(39, -1, -1) if args.d.endswith("TEN"))
    write(Path(args.s) / args.r / args.e / "annotate_next.csv", "case\\n" + order)
""".replace("import argparse", f"COLUMNS = {COLUMNS!r}\nimport argparse", 1)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Return a folder with a split.json like that of the data set."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "labelsTr").mkdir()
    split = {name: [f"{name}_{number}" for number in range(count)] for name, count in (("train", 40), ("val", 2))}
    (folder / "split.json").write_text(json.dumps({**split, "test": ["test_0"]}))
    return folder


@pytest.fixture(scope="module")
def study(scans, tmp_path_factory):
    """Run the study with the stubs; return a function that runs it with more options, and its folder."""
    folder = tmp_path_factory.mktemp("study")
    root = folder / "scripts"
    root.mkdir()
    for script in ("resample_data", "training_network", "testing_network", "ensemble"):
        (root / f"{script}.py").write_text(STAND_IN)

    def run(*more: str) -> None:
        main(["--data", str(scans), "--work", str(folder / "work"), "--share", "0.001", *more], root)

    run("--at-once", "2")
    return run, folder / "work"


def test_all_parts_are_stored_and_options_chosen_on_validation_cases(study):
    _, work = study
    results = work / "results"
    kept = json.loads((results / "choices" / "part.json").read_text())
    assert kept["chosen"] == {"labels": "cross-fitted", "alpha": 0.5, "softloss": "KL", "temperature": 4}
    assert {row["split"] for row in rows_of(results / "choices" / "runs.csv")} == {"val"}
    assert json.loads((results / "small" / "part.json").read_text())["chosen"] == {
        "labels": "cross-fitted",
        "alpha": 0.1,
    }
    for part in (
        "diverse",
        "small",
        "few",
        "dice",
        "few-diverse",
        "uniform",
        "alone",
        "ten",
        "narrow",
        "defaults",
        "planes",
        "next",
    ):
        rows = rows_of(results / part / "runs.csv")
        assert {row["split"] for row in rows} == {"val", "test"}
    rows = rows_of(results / "uniform" / "runs.csv")
    singles = [row for row in rows if (row["group"], row["split"]) == ("single", "test")]
    assert [row["seed"] for row in singles] == ["1", "2", "3"]
    minutes = (6 / 0.1 + 4 / 0.2) / 60  # 10 iterations, at two rates
    assert float(singles[0]["minutes"]) == pytest.approx(minutes, abs=1e-5)


def test_test_cases_are_predicted_after_the_last_choice(study):
    """Compare the modification times of the records, as their dates have a resolution of one second."""
    _, work = study
    times = {path.stem: path.stat().st_mtime_ns for path in (work / "steps").glob("*.json")}
    trials = {"predict_small_all_0.1_1_val", "predict_small_cross-fitted_1_1_val"}
    trials |= {name for name in times if name.startswith("predict_trial")}
    last_trial = max(times[name] for name in trials)
    tested = {name: time for name, time in times.items() if name.endswith("_test")}
    assert tested and min(tested.values()) > last_trial


def test_few_references_are_of_some_train_cases_and_all_other_cases(study):
    _, work = study
    links = [path.name.split("_")[0] for path in (work / "few_references").iterdir()]
    assert {split: links.count(split) for split in links} == {"train": 30, "val": 2, "test": 1}


def test_the_next_references_are_the_first_of_the_proposed_order_or_drawn(study):
    _, work = study

    def annotated(data: str) -> set[str]:
        return {path.name.split(".")[0] for path in (work / data).iterdir() if path.name.startswith("train")}

    ten = annotated("ten_references")
    proposed = {f"train_{number}" for number in range(20, 40)}  # the first 20
    assert len(ten) == 10 and annotated("ordered_references") == ten | proposed
    draws = [annotated(f"draw_{number}_references") for number in (1, 2, 3)]
    assert all(ten < draw for draw in draws) and len(set(map(frozenset, draws))) == 3


def test_measures_without_values_are_no_error(study):
    _, work = study
    assert {row["asd_mm"] for row in rows_of(work / "results" / "diverse" / "runs.csv")} == {"0.5", ""}
    (row,) = [line for line in (work / "results" / "tables.md").read_text().splitlines() if line[:9] == "| quarter"][:1]
    assert "| nan |" in row


def test_targets_that_are_met_and_not_met(study):
    _, work = study
    rows = {row["target"]: row for row in rows_of(work / "results" / "targets.csv")}
    assert rows["single dil2D, mean Dice"]["met"] == "NO"  # 0.80
    assert rows["uniform student: better than single"]["met"] == "yes"  # by 0.012 in each case
    assert rows["diverse student: better than dil2D alone, fp32"]["met"] == "yes"
    assert rows["half-width student: not inferior to dil2D alone, fp32 by 0.005"]["met"] == "yes"
    assert rows["student of few references: better than few references alone"]["met"] == "yes"
    assert rows["small UNet3D student: not inferior to diverse ensemble by 0.005"]["met"] == "yes"
    assert rows["time of the diverse ensemble over that of the diverse student"] == {
        "target": "time of the diverse ensemble over that of the diverse student",
        "bar": "≥ 5.4",
        "figure": "6.00",
        "met": "yes",
    }
    text = (work / "results" / "tables.md").read_text(encoding="utf-8")
    assert text.count("| diverse ensemble |") == 1
    for picture in ("means.png", "uniform_student.png", "small_UNet3D_student.png"):
        assert (work / "results" / picture).stat().st_size > 1000


def test_a_second_run_repeats_nothing(study, capsys):
    run, work = study
    before = {path: path.stat().st_mtime_ns for path in (work / "steps").iterdir()}
    (work / "results" / "few" / "part.json").unlink()
    run()
    assert {path: path.stat().st_mtime_ns for path in (work / "steps").iterdir()} == before
    assert (work / "results" / "few" / "part.json").exists()
    assert "## Targets" in capsys.readouterr().out


def test_a_part_made_with_other_settings_is_refused(study, scans):
    run, _ = study
    with pytest.raises(SystemExit, match=r"was made with share 0\.001, not 0\.5; choose another --results"):
        run("--share", "0.5")


def test_a_part_without_chosen_options_names_the_part_to_run_first(scans, tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*is missing; run part choices first"):
        main(["--data", str(scans), "--work", str(tmp_path / "work"), "--parts", "diverse"])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--data", "nowhere"], "no split.json"), (["--at-once", "0"], "--at-once"), (["--share", "2"], "--share")],
)
def test_wrong_options_are_one_line(scans, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        main(["--data", str(scans), "--work", str(tmp_path), *options])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
