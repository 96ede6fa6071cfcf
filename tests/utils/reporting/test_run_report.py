"""Reports of runs of any size and with any names: the page holds, and nothing in a name is executed."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from base.csv_files import read_table, write_table
from base.label_classes import parse_classes
from base.run_record import NetworkSummary, RunRecord
from utils.evaluation import reliability_table, trust_table
from utils.evaluation.calibration import Reliability
from utils.evaluation.run_results import COLUMNS
from utils.reporting.run_report import write_report

NAMES = [
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;b&gt; $a_b$ %00 #1?",
    "名前 ü \u202e",
]
VOID = {"meta", "img", "wbr", "path", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """A page as a browser reads it: its elements with attributes, its texts, and the elements left open."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all_of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def write_run(folder, dices, picture=b"", classes="0,1,2", patients=None, more=None):
    """Write a run of cases, each with the Dice of its classes (None: no reference), and return its page."""
    folder.mkdir(parents=True)
    names = parse_classes(classes).names[1:]
    cases = {case: {"image": "1"} for case in dices}
    networks = {"net <b>": NetworkSummary(7, False)}
    weights = {"net <b>": "0" * 64}
    record = RunRecord(weights, parse_classes(classes), None, None, names, 1.0, networks, cases, patients)
    record.write(folder)
    metrics, reliabilities, trust = [], [], []
    for case, values in dices.items():
        for name, value in zip(names, values):
            row = {"case": case, "class": name, "volume_ml": 3.0, "seconds": 1.0, "intensity_warning": 1}
            known = (
                {"dice": value, "hausdorff_mm": 9.0, "reference_volume_ml": 2.0 + value} if value is not None else {}
            )
            metrics.append(row | known | (more or {}))
            reliability = Reliability.of(np.array([0.2, 0.9]), np.array([0.0, 1.0]))
            if value is not None:
                rows = reliability_table.rows_of({name: reliability})
                reliabilities += [{"case": case, **one} for one in rows]
            trust.append({"case": case, "class": name, "expected_dice": 0.8, "predicted_dice": 0.7})
        if picture:
            (folder / f"{case}_overlay.png").write_bytes(picture)
    write_table(folder / "metrics.csv", COLUMNS, metrics)
    write_table(folder / "calibration.csv", reliability_table.COLUMNS, reliabilities)
    write_table(folder / "trust.csv", trust_table.COLUMNS, trust)
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert len(page.all_of("script")) == 1
    assert all(not key.startswith("on") for _, attributes in page.elements for key in attributes)
    for tag, key in (("img", "src"), ("a", "href")):
        assert all(":" not in attributes[key].partition("data:image/png;base64,")[0] for attributes in page.all_of(tag))
    json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return page


def test_names_are_shown_and_never_executed(tmp_path):
    dices = {name: [0.5, 0.6] for name in NAMES}
    page = write_run(tmp_path / NAMES[1] / "val", dices, b"picture", patients={NAMES[0]: NAMES[1]})
    texts = "".join(page.texts)
    assert all(name.replace("\u202e", "\ufffd") in texts for name in NAMES)
    assert "\u202e" not in texts  # would reverse the text after it
    assert {tag for tag, _ in page.elements} >= {"script", "svg", "table"}


def test_what_a_member_contributes_is_measured_where_others_predict_too(tmp_path):
    folder = tmp_path / "run" / "val"
    write_run(folder, {"both": [0.9], "alone": [0.5]}, classes="0,1")
    rows = [
        {"case": "both", "member": "a", "class": "1", "dice": 0.8, "ensemble_dice": 0.9, "dice_without": 0.7},
        {"case": "alone", "member": "a", "class": "1", "dice": 0.5, "ensemble_dice": 0.5, "dice_without": None},
    ]
    write_table(folder / "members.csv", list(rows[0]), rows)
    texts = Page(write_report(folder).read_text(encoding="utf-8")).texts
    start = texts.index("contribution")
    assert [text for text in texts[start:] if "." in text][:3] == ["0.6500", "0.7000", "+0.2000"]


def test_a_page_of_many_cases_stays_small(tmp_path):
    """Pictures of the worst cases are in the page; the others are linked."""
    dices = {f"case_{number:05d}": [number / 200, 0.9] for number in range(200)}
    picture = np.random.default_rng(0).bytes(150_000)
    page = write_run(tmp_path / "run" / "test", dices, picture)
    assert (tmp_path / "run" / "test" / "report.html").stat().st_size < 10e6
    sources = [attributes["src"] for attributes in page.all_of("img")]
    embedded = [source.startswith("data:") for source in sources]
    assert len(sources) == 200
    assert embedded == [True] * 40 + [False] * 160
    assert sources[40] == "case_00040_overlay.png"


def test_the_worst_case_comes_first_and_its_picture_is_open(tmp_path):
    page = write_run(tmp_path / "run" / "test", {"a": [0.9, 0.9], "b": [0.1, 0.2], "c": [None, None]}, b"picture")
    values = [attributes["data-value"] for attributes in page.all_of("td") if attributes.get("class") == "name"]
    assert values == ["b", "a", "c"]
    rows = [attributes for attributes in page.all_of("tr") if attributes.get("class") == "picture"]
    assert ["hidden" in row for row in rows] == [False, True, True]


def test_every_column_has_a_number_to_sort_by(tmp_path):
    page = write_run(tmp_path / "run" / "test", {"a": [0.9, 0.25], "b": [0.1, None]}, b"picture")
    heads = [attributes for attributes in page.all_of("th") if "data-column" in attributes]
    rows = [attributes["data-value"] for attributes in page.all_of("td") if "data-value" in attributes]
    assert len(rows) == 2 * len(heads)
    assert {"0.9", "0.25", "0.575", ""} <= set(rows)


@pytest.mark.parametrize(
    ("dices", "words"),
    [
        ({"a": [None, None], "b": [None, None]}, "No case has a reference"),
        ({"a": [0.5, 0.5]}, "Only 1 patient is measured"),
        ({"a": [0.5, None], "b": [None, None]}, "1 of 2 cases have no reference"),
        ({f"{n}": [0.0, 1.0] for n in range(12)}, "Class 1 has a Dice of 0 in 12 cases (0, 1, 10, 11, 2, ...)"),
    ],
    ids=["no reference", "one case", "some", "failed"],
)
def test_pages_of_few_or_odd_cases(tmp_path, dices, words):
    dices = dict(sorted(dices.items()))
    assert words in "".join(write_run(tmp_path / "run" / "test", dices, b"picture").texts)


def test_a_measure_that_is_not_defined_everywhere_has_its_number_of_cases(tmp_path):
    """A distance that only the easy cases have looks better than it is."""
    folder = tmp_path / "run" / "val"
    write_run(folder, {case: [0.5] for case in "abcde"}, classes="0,1")
    rows = read_table(folder / "metrics.csv")
    for row in rows[:2]:
        row["hausdorff_mm"] = ""
    write_table(folder / "metrics.csv", COLUMNS, rows)
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "9.0 in 3 cases" in page and "0.500<" in page


def test_a_class_that_is_always_empty_is_noted(tmp_path):
    more = {"reference_volume_ml": 0.0, "volume_ml": 0.0, "hausdorff_mm": None}
    page = write_run(tmp_path / "run" / "test", {"a": [1.0, 1.0], "b": [1.0, 1.0]}, b"picture", more=more)
    assert "Class 2 is empty in every reference" in "".join(page.texts)


def test_the_mean_of_the_classes_comes_first(tmp_path):
    """A case counts where every class has a value."""
    page = write_run(tmp_path / "run" / "test", {"a": [0.9, 0.7], "b": [0.5, 0.3], "c": [0.1, None]}, b"picture")
    summary = json.loads((tmp_path / "run" / "test" / "summary.json").read_text())
    dice = next(one for one in summary["measures"] if one["measure"] == "dice")
    assert (dice["region"], dice["cases"], dice["mean"]) == ("mean", 2, pytest.approx(0.6))
    texts = [text.strip() for text in page.texts if text.strip()]
    first = texts.index("mean of classes")
    assert texts[first : first + 5] == ["mean of classes", "class 1", "class 2", "Dice ↑", "0.600 in 2 cases"]


def test_the_summary_holds_means_over_patients_with_intervals(tmp_path):
    """Cases a and b are of one patient."""
    dices = {name: [value] for name, value in zip("abcdefg", (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9))}
    write_run(tmp_path / "run" / "test", dices, classes="0,1", patients={"a": "x", "b": "x"})
    summary = json.loads((tmp_path / "run" / "test" / "summary.json").read_text())
    dice = next(one for one in summary["measures"] if one["measure"] == "dice")
    assert (dice["cases"], dice["patients"]) == (7, 6)
    assert dice["mean"] == pytest.approx((0.3 + 0.5 + 0.6 + 0.7 + 0.8 + 0.9) / 6)
    assert 0 < dice["low"] < dice["mean"] < dice["high"] < 1
    assert (dice["worst"], dice["worst_case"]) == (0.2, "a")
    assert summary["worst_first"] == list("abcdefg")
