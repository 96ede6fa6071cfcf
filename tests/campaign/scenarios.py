"""Commands of the campaign, with their inputs, outputs, and options to resume them."""

from dataclasses import dataclass
from pathlib import Path

from tests.material import SMALL

TRAINING = ("training_network", *SMALL, "--classes", "0,1,2")
_WHERE = ("-d", "{work}/DATA", "-s", "{work}/SAVE")
_TRAINED = (*TRAINING, *_WHERE)
_TRAINING_DATA = ("DATA/train", "DATA/val")
_FIRST, _SECOND = "SAVE/one/FINAL_one_30.pth", "SAVE/two/FINAL_two_30.pth"
_TESTED = ("testing_network", *_WHERE, "--network-weights", f"{{work}}/{_FIRST}")
_AVERAGED = ("ensemble", *_WHERE, "--classes", "0,1,2")
_SOFT = "SAVE/soft_labels/0_1_2/train"
_RESAMPLED = ("resample_data", "--voxel-size", "3", "3", "5")


@dataclass(frozen=True)
class Scenario:
    """A command.

    Attributes:
        words: of the command, with {work} in place of the work folder.
        inputs: paths in the world that are copied to the work folder.
        output: folder to which the command writes.
        again: options with which the command is resumed.
    """

    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str = "SAVE"
    again: tuple[str, ...] = ()

    def command(self, work: Path) -> list[str]:
        return [word.replace("{work}", str(work)) for word in self.words]


_ALL = (
    # for kills and full disks
    Scenario("resample_in_place", (*_RESAMPLED, "-d", "{work}/RAW", "--jobs", "2"), ("RAW",), "RAW"),
    Scenario("resample_output", (*_RESAMPLED, "-d", "{work}/RAW", "-o", "{work}/OUT"), ("RAW",), "OUT"),
    Scenario(
        "resample_split",
        (*_RESAMPLED, "-d", "{work}/RAW", "--split", "50", "25", "25", "--seed", "1"),
        ("RAW",),
        "RAW",
    ),
    Scenario(
        "training",
        (*_TRAINED, "-i", "60", "-r", "new", "--checkpoint-every", "4", "--validate-every", "15"),
        _TRAINING_DATA,
        again=("--resume",),
    ),
    Scenario("testing", (*_TESTED, "-e", "test", "-r", "tested"), ("DATA/test", _FIRST)),
    Scenario("ensemble", (*_AVERAGED, "-e", "train"), ("DATA/train", _FIRST, _SECOND)),
    Scenario(
        "student",
        (*_TRAINED, "--soft", "--predict-uncertainty", "-i", "30", "-r", "student", "--checkpoint-every", "3"),
        (*_TRAINING_DATA, _SOFT),
        again=("--resume",),
    ),
    # for damaged files
    Scenario(
        "resume",
        (*_TRAINED, "-i", "200", "-r", "half", "--checkpoint-every", "20", "--validate-every", "100", "--resume"),
        (*_TRAINING_DATA, "SAVE/half"),
    ),
    Scenario("test_val", (*_TESTED, "-e", "val", "-r", "tested"), ("DATA/val", _FIRST)),
    Scenario("average_val", (*_AVERAGED, "-e", "val"), ("DATA/val", _FIRST, _SECOND)),
    Scenario(
        "init",
        (*_TRAINED, "-i", "3", "-r", "new", "--init-weights", f"{{work}}/{_FIRST}"),
        (*_TRAINING_DATA, _FIRST),
    ),
    Scenario("train_short", (*_TRAINED, "-i", "3", "-r", "new"), _TRAINING_DATA),
    Scenario("train_cached", (*_TRAINED, "-i", "60", "-r", "new"), (*_TRAINING_DATA, "SAVE/cache")),
    Scenario(
        "student_short",
        (*_TRAINED, "--soft", "--predict-uncertainty", "-i", "20", "-r", "student"),
        (*_TRAINING_DATA, _SOFT),
    ),
    Scenario(
        "clip", (*_TESTED, "-e", "val", "-r", "clipped", "--clip-to", "first"), ("DATA/val", _FIRST, "SAVE/first")
    ),
    # for JSON files
    Scenario(
        "kept",
        (*_TESTED, "-e", "val", "-r", "kept"),
        ("DATA/val", _FIRST, _FIRST.replace(".pth", ".keep_largest.json")),
    ),
    Scenario(
        "trusted",
        (*_TESTED, "-e", "test", "-r", "trusted"),
        ("DATA/test", _FIRST, _FIRST.replace(".pth", ".trust.json")),
    ),
    Scenario("test_again", (*_TESTED, "-e", "val", "-r", "first"), ("DATA/val", _FIRST, "SAVE/first")),
    Scenario(
        "compare", (*_TESTED, "-e", "val", "-r", "tested", "--compare", "first"), ("DATA/val", _FIRST, "SAVE/first")
    ),
    Scenario("average_again", (*_AVERAGED, "-e", "train"), ("DATA/train", _FIRST, _SECOND, _SOFT)),
    Scenario("resample_again", (*_RESAMPLED, "-d", "{work}/DATA"), ("DATA/val",), "DATA"),
    Scenario("decathlon", (*_RESAMPLED, "-d", "{work}/DECATHLON", "-o", "{work}/OUT"), ("DECATHLON",), "OUT"),
    Scenario(
        "split_file",
        (*_RESAMPLED, "-d", "{work}/RAW", "-o", "{work}/OUT", "--split-file", "{work}/split.json"),
        ("RAW/case_00000", "RAW/case_00001", "RAW/case_00002", "RAW/case_00003", "RAW/case_00004", "RAW/case_00005",
         "split.json"),
        "OUT",
    ),
)  # fmt: skip
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
