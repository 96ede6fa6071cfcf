"""The study of few references: its folds, and a whole run with stubs of the four scripts."""

import json
from collections import Counter

import pytest

from studies.acdc.__main__ import main
from studies.acdc.folds import folds_of, published_fold
from studies.scribbles.__main__ import main as scribble_study
from tests.material import rows_of
from utils.evaluation.run_results import COLUMNS

PATIENTS = [f"patient{number:03d}" for number in range(1, 101)]
GROUPS = {patient: "ABCDE"[number // 20] for number, patient in enumerate(PATIENTS)}
MIXED = [PATIENTS[number * 37 % 100] for number in range(100)]
PROTOCOL = {"train": MIXED[:70], "val": MIXED[70:80], "test": MIXED[80:]}

# A stub of every script. The Dice of a network follows from its kind, and whether it is a student.
STAND_IN = """
import argparse, csv, json, sys, zlib
from pathlib import Path

parser = argparse.ArgumentParser()
for option in ("-d", "-s", "-r", "-x", "-i", "-n", "-e", "-o", "-b"):
    parser.add_argument(option)
for option in ("network-weights", "trained-networks", "soft-labels", "keep-largest", "loss", "split-file"):
    parser.add_argument("--" + option)
parser.add_argument("--soft", action="store_true")
args, _ = parser.parse_known_args()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def dice_of(name):
    return json.loads((Path(args.s) / name / "experiment.json").read_text())["dice"]


def predict(name, networks, dice):
    folder = Path(args.s) / name / args.e
    patients = json.loads((Path(args.d) / "split.json").read_text())[args.e]
    classes = {"names": ["0", "1", "2", "3"], "labels": [[0], [1], [2], [3]]}
    record = {"cases": dict.fromkeys(patients, {"image": ""}), "classes": classes, "regions": ["1", "2", "3"]}
    record |= {"networks": networks, "tolerance_mm": 1, "weights": {}}
    write(folder / "predictions.json", json.dumps(record))
    trusted = {case: (zlib.crc32(case.encode()) % 100) / 1e3 for case in patients}
    rows = [f"{case},mean,{dice - trust},{dice - 0.05},10,,{dice - trust}" for case, trust in trusted.items()]
    header = "case,class,predicted_dice,predicted_dice_low,bound_patients,agreement,expected_dice"
    write(folder / "trust.csv", "\\n".join([header, *rows, ""]))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for case in patients:
            noise = (zlib.crc32(f"{name} {case}".encode()) % 100) / 1e5
            for region in "123":
                row = dict.fromkeys(COLUMNS, 0.5)
                row |= {"case": case, "class": region, "dice": dice + noise, "seconds": 0.1 * len(networks)}
                writer.writerow(row)


script = Path(sys.argv[0]).name
if script == "resample_data.py":
    write(Path(args.o) / "split.json", Path(args.split_file).read_text())
elif script == "training_network.py":
    if args.soft:
        assert (Path(args.soft_labels) / "train").is_dir()
    dice = {"UNet2D": 0.85, "ResNet2D": 0.86, "dil2D": 0.80}[args.n] + 0.02 * args.soft
    folder = Path(args.s) / args.r
    write(folder / "experiment.json", json.dumps({"dice": dice, "training_cases": ["a"] * (140 if args.soft else 14)}))
    write(folder / "log.csv", f"iteration,iterations_per_second\\n{args.i},0.1\\n")
    write(folder / f"FINAL_{args.r}_{args.i}.pth", "")
elif script == "testing_network.py":
    trained = Path(args.network_weights).parent.name
    networks = {trained: {"parameters": 50000, "is_student": "student" in trained}}
    predict(args.r or trained, networks, dice_of(trained) - 0.01 * (args.keep_largest == "0"))
else:
    members = [Path(line).parent.name for line in Path(args.trained_networks).read_text().split()]
    (Path(args.soft_labels) / args.e).mkdir(parents=True, exist_ok=True)
    networks = {name: {"parameters": 50000, "is_student": False} for name in members}
    predict(args.r, networks, 0.875 - 0.01 * any("dil2D" in name for name in members))
""".replace("import argparse", f"COLUMNS = {COLUMNS!r}\nimport argparse", 1)


def test_each_patient_is_tested_once_and_no_fold_mixes_its_parts():
    folds = folds_of(PROTOCOL, GROUPS, 7)
    assert Counter(patient for fold in folds for patient in fold.test) == Counter(PATIENTS)
    for fold in folds:
        assert (len(fold.train), len(fold.val), len(fold.test)) == (70, 10, 20)
        assert {*fold.train, *fold.val, *fold.test} == set(PATIENTS)
        assert len(fold.annotated) == 7
        assert set(fold.annotated) <= set(fold.train)


def test_the_first_fold_is_the_published_split():
    first = folds_of(PROTOCOL, GROUPS, 7)[0]
    assert (list(first.train), list(first.val), list(first.test)) == tuple(PROTOCOL.values())
    assert list(published_fold(PROTOCOL, 3).annotated) == PROTOCOL["train"][:3]


def test_drawn_folds_are_balanced_over_the_groups():
    tested = Counter(GROUPS[patient] for patient in PROTOCOL["test"])
    for fold in folds_of(PROTOCOL, GROUPS, 7)[1:]:
        for patients in (fold.val, fold.annotated):
            assert max(Counter(GROUPS[patient] for patient in patients).values()) <= 2
        counts = Counter(GROUPS[patient] for patient in fold.test)
        for group in "ABCDE":  # a fourth of the patients that the published split does not test
            assert abs(counts[group] - (20 - tested[group]) / 4) <= 1


def test_folds_are_the_same_every_time():
    assert folds_of(PROTOCOL, GROUPS, 7) == folds_of(PROTOCOL, dict(reversed(GROUPS.items())), 7)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Return a folder like that of the data set, with empty images."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "protocol.json").write_text(json.dumps(PROTOCOL))
    for patient in PATIENTS:
        (folder / patient).mkdir()
        (folder / patient / "Info.cfg").write_text(f"ED: 1\nES: 12\nGroup: {GROUPS[patient]}\n")
        for frame in ("01", "12"):
            for end in ("", "_gt"):
                (folder / patient / f"{patient}_frame{frame}{end}.nii.gz").touch()
    return folder


@pytest.fixture(scope="module")
def work(scans, tmp_path_factory):
    """Run the study with the stubs; return its folder."""
    folder = tmp_path_factory.mktemp("study")
    for script in ("resample_data", "training_network", "testing_network", "ensemble"):
        (folder / "scripts").mkdir(exist_ok=True)
        (folder / "scripts" / f"{script}.py").write_text(STAND_IN)
    parts = ["--parts", "fold1", "fold2", "three", "again"]
    command = ["--data", str(scans), "--work", str(folder / "work"), "--share", "0.001", "--at-once", "2", *parts]
    main(command, folder / "scripts")
    return folder / "work"


def test_references_are_those_of_the_annotated_val_and_test_patients(work):
    folds = folds_of(PROTOCOL, GROUPS, 7)
    for part, fold in (("fold1", folds[0]), ("fold2", folds[1]), ("three", published_fold(PROTOCOL, 3))):
        found = {path.parent.name for path in (work / "sources" / part).rglob("*_gt.nii.gz")}
        assert found == {*fold.annotated, *fold.val, *fold.test}


def test_the_kind_of_the_student_is_chosen_on_validation_patients_before_any_test(work):
    kept = json.loads((work / "results" / "fold2" / "part.json").read_text())
    assert kept["chosen"] == {"kind": "ResNet2D", "kinds together": "without dil2D"}
    times = {path.stem: path.stat().st_mtime_ns for path in (work / "steps").glob("*fold2*.json")}
    trainings = max(time for name, time in times.items() if name.startswith("train_"))
    assert min(time for name, time in times.items() if name.endswith("_test")) > trainings


def test_a_second_round_distils_the_students_of_the_first_fold(work):
    chosen = {
        path.parent.name: json.loads(path.read_text())["chosen"] for path in (work / "results").glob("*/part.json")
    }
    assert set(chosen["fold1"]) == set(chosen["fold2"]) == {"kind", "kinds together"}
    assert set(chosen["again"]) == {"round"}
    rows = rows_of(work / "results" / "again" / "runs.csv")
    runs = {row["run"] for row in rows if row["group"] == "second student, 7 labelled"}
    assert runs == {"fold1_second_student_ResNet2D_1"}


def test_claims_are_by_patient_over_all_folds(work):
    claims = {row["claim"]: row for row in rows_of(work / "results" / "claims.csv")}
    better = claims["student, 7 labelled: better than alone, 7 labelled"]
    assert better["cases"] == "40"  # patients of two folds, two frames each
    assert float(better["difference"]) == pytest.approx(0.02, abs=5e-4)
    assert better["met"] == "True"
    assert claims["student, 3 labelled: not inferior to ensemble, 3 labelled by 0.005"]["cases"] == "20"
    one_view = claims["ensemble, 7 labelled: better than ensemble, 7 labelled, one view"]
    assert one_view["cases"] == "20"  # variants are of the published split alone
    targets = {row["target"]: row for row in rows_of(work / "results" / "targets.csv")}
    assert targets["student's mean Dice, 7 labelled, published split"]["met"] == "NO"
    assert "## By part" in (work / "results" / "tables.md").read_text()


def test_the_predicted_dice_of_each_group_is_held_against_its_dice(work):
    text = (work / "results" / "tables.md").read_text()
    table = text[text.index("## Trust without a reference") :].split("## ")[1]
    assert "| member" not in table  # networks of three kinds, each of which predicts the Dice of every case
    (row,) = (line for line in table.splitlines() if line.startswith("| student, 7 labelled |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == "80"  # two frames of the 40 patients of two folds
    assert float(cells[3]) - float(cells[4]) == pytest.approx(float(cells[5]), abs=2e-4)  # all predicted too low
    assert cells[-1].startswith("100% of 40 (91% to 100%)")


def test_scribbles_replace_the_references_of_train_and_val_patients(scans, tmp_path):
    scribbles = tmp_path / "scribbles"
    for patient in PATIENTS:
        (scribbles / patient).mkdir(parents=True)
        for frame in ("01", "12"):
            (scribbles / patient / f"{patient}_frame{frame}_scribble.nii.gz").touch()
    (tmp_path / "scripts").mkdir()
    for script in ("resample_data", "training_network", "testing_network", "ensemble"):
        (tmp_path / "scripts" / f"{script}.py").write_text(STAND_IN)
    command = [
        "--data",
        str(scans),
        "--scribbles",
        str(scribbles),
        "--work",
        str(tmp_path / "work"),
        "--share",
        "0.001",
    ]
    scribble_study([*command, "--at-once", "2"], tmp_path / "scripts")
    links = {path.name: path.resolve() for path in (tmp_path / "work" / "source").rglob("*_gt.nii.gz")}
    assert len(links) == 200
    for name, target in links.items():
        assert (target.parents[1] == scans) == (name.split("_")[0] in PROTOCOL["test"])
    claims = {row["claim"]: row for row in rows_of(tmp_path / "work" / "results" / "claims.csv")}
    assert claims["student, scribbles: better than alone, scribbles"]["cases"] == "20"
    targets = rows_of(tmp_path / "work" / "results" / "targets.csv")
    assert [row["met"] for row in targets] == ["yes", "yes"]
    assert float(targets[0]["figure"]) == pytest.approx(0.88, abs=1e-3)  # 0.86 of the network alone, and 0.02
    command = json.loads((tmp_path / "work" / "steps" / "resample_scribbles.json").read_text())["command"]
    assert command[command.index("--ignore-label") + 1] == "4"
