"""Calls of the four scripts in the work folder of a study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from base.atomic_file import write_text
from base.csv_files import read_table
from base.json_files import read_json
from base.run_files import ANNOTATE_NEXT
from studies.steps import Step, Steps
from utils.comparison.finished_runs import FinishedRun
from utils.evaluation.trust_table import TrustTable


@dataclass(frozen=True)
class Recipe:
    """Training of a network: options of ``training_network.py``, and iterations."""

    options: str
    iterations: int

    def with_options(self, more: str) -> "Recipe":
        return replace(self, options=f"{self.options} {more}")


@dataclass(frozen=True)
class Network:
    """A network to train.

    Attributes:
        name: of the experiment, and of its predictions.
        options: of ``training_network.py``, without data, classes, seed and iterations; values contain no spaces.
        data: name of the prepared data on which it is trained and tested.
        teacher: ensemble whose soft labels a student is trained on; None for a network without soft labels.
    """

    name: str
    options: str
    iterations: int
    seed: int = 1
    data: str = "ALL"
    teacher: str | None = None


class Scripts:
    """Runs the stages, each only once for the same inputs.

    Args:
        work: folder for prepared data, experiments and predictions.
        classes: as on the command line.
        at_once: number of trainings that run in parallel; all other steps run alone.
        share: fraction of the iterations of every training; less than 1 for a trial run of the study.
    """

    def __init__(self, work: Path, root: Path, classes: str, cores: int, at_once: int, share: float = 1):
        self._work = work
        self._steps = Steps(work / "steps", root, cores)
        self._classes = classes
        self._at_once = at_once
        self._share = share
        self._networks: dict[str, Network] = {}

    @property
    def save(self) -> Path:
        return self._work / "SAVE"

    def iterations(self, network: Network) -> int:
        """Return the number of iterations after scaling by `share`."""
        return max(10, round(network.iterations * self._share))

    def resample(self, data: str, *options: object) -> None:
        """Run stage 1 and store the prepared data under a name."""
        self._run(f"resample_{data}", "resample_data.py", *options, "-o", self._work / data)

    def train(self, networks: Sequence[Network]) -> None:
        """Run stages 2 and 5: train networks, and students of ensembles that have labelled the train cases."""
        self._networks |= {network.name: network for network in networks}
        self._steps.run([self._training(network) for network in networks], self._at_once)

    def _training(self, network: Network) -> Step:
        options = [*self._places(network.data), "-r", network.name, "-x", network.seed]
        options += ["-i", self.iterations(network), "--classes", self._classes, *network.options.split()]
        if network.teacher:
            options += ["--soft", "--soft-labels", self._soft_labels(network.teacher)]
        return _step(f"train_{network.name}", "training_network.py", *options, "--visdom-port", 0, "--resume")

    def predict(self, networks: Sequence[Network], split: str, *options: object, suffix: str = "") -> None:
        """Run stage 3: predict and score a split with each network; `suffix` is added to the names of the runs."""
        for network in networks:
            weights, run = self._weights(network.name), network.name + suffix
            named = [*self._places(network.data), "-e", split, "--network-weights", weights]
            named += ["-r", run] if suffix else []
            self._run(f"predict_{run}_{split}", "testing_network.py", *named, *options)

    def average(self, name: str, members: Sequence[Network], split: str, *options: object, data: str = "ALL") -> None:
        """Run stage 4: compute predictions and soft labels of the ensemble `name` on a split."""
        listing = self._work / "members" / f"{name}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        write_text(listing, "".join(f"{self._weights(member.name)}\n" for member in members))
        named = [*self._places(data), "-e", split, "-r", name, "--classes", self._classes]
        named += ["--trained-networks", listing, "--soft-labels", self._soft_labels(name)]
        self._run(f"average_{name}_{split}", "ensemble.py", *named, *options)

    def result(self, name: str, split: str) -> FinishedRun:
        """Read the results of a network or an ensemble on a split."""
        return FinishedRun.read(self.save, name, split)

    def trust(self, name: str, split: str) -> TrustTable:
        """Read the predicted Dice of a network or an ensemble on a split."""
        return TrustTable.read(self.save / name / split)

    def annotation_order(self, name: str, split: str) -> list[str]:
        """Read the cases without a reference in the order in which an ensemble proposes to annotate them."""
        return [row["case"] for row in read_table(self.save / name / split / ANNOTATE_NEXT)]

    def minutes(self, network: Network) -> float:
        """Return the minutes of its training steps from its log, without start-up, validation and interruptions."""
        rows = read_table(self.save / network.name / "log.csv")
        ends = [int(row["iteration"]) for row in rows]
        rates = [float(row["iterations_per_second"]) for row in rows]
        return sum((end - begin) / rate for begin, end, rate in zip([0, *ends], ends, rates)) / 60

    def cases(self, network: Network) -> int:
        """Return the number of cases on which it was trained."""
        path = self.save / network.name / "experiment.json"
        return len(read_json(path, {"training_cases": [str]}, "train the network again")["training_cases"])

    def _places(self, data: str) -> list[object]:
        return ["-d", self._work / data, "-s", self.save]

    def _weights(self, name: str) -> Path:
        network = self._networks[name]
        return self.save / name / f"FINAL_{name}_{self.iterations(network)}.pth"

    def _soft_labels(self, ensemble: str) -> Path:
        return self._work / "soft_labels" / ensemble

    def _run(self, name: str, *words: object) -> None:
        self._steps.run([_step(name, *words)])


def _step(name: str, *words: object) -> Step:
    return Step(name, tuple(str(word) for word in words))
