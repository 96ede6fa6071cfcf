"""The printed table of an ensemble and its members."""

from base.csv_files import write_table
from base.label_classes import parse_classes
from base.regions import regions_of
from base.run_files import METRICS
from base.run_record import RunRecord
from utils.ensembling.reports import print_mean_dice
from utils.evaluation.run_results import COLUMNS


def test_a_member_whose_test_was_stopped_is_not_shown_beside_the_others(tmp_path, capsys):
    regions, contents = regions_of(parse_classes("0,1"), ()), {"easy": {}, "hard": {}}
    for name, dices in {"whole": {"easy": 0.9, "hard": 0.5}, "stopped": {"easy": 0.9}}.items():
        (tmp_path / name).mkdir()
        rows = [{"case": case, "class": "1", "dice": dice} for case, dice in dices.items()]
        write_table(tmp_path / name / METRICS, COLUMNS, rows)
    print_mean_dice({name: tmp_path / name for name in ("whole", "stopped")}, regions, contents, {})
    whole, stopped = capsys.readouterr().out.splitlines()[-2:]
    assert whole.split() == ["0.7000", "whole"]
    assert stopped.split() == [*["not", "measured", "on", "these", "cases:", "run", "testing_network.py"], "stopped"]


def test_what_other_weights_predicted_under_the_name_of_a_member_is_not_shown(tmp_path, capsys):
    classes = parse_classes("0,1")
    record = RunRecord({"one": "1" * 64}, classes, None, None, ("1",), 1.0, {}, {"a": {"image": "0"}})
    record.write(tmp_path)
    write_table(tmp_path / METRICS, COLUMNS, [{"case": "a", "class": "1", "dice": 0.9}])
    for sha256, shown in (("1" * 64, "0.9000"), ("2" * 64, "not")):
        print_mean_dice({"one": tmp_path}, regions_of(classes, ()), {"a": {"image": "0"}}, {"one": sha256})
        assert capsys.readouterr().out.splitlines()[-1].split()[0] == shown
