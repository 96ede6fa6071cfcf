"""Options of training. Nothing heavy is imported here."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from base.errors import InputError
from base.label_classes import LabelClasses, parse_classes, parse_titles
from base.names import check_run_name
from networks import ARCHITECTURES, Architecture, find_architecture
from utils.cli.common_options import DataOptions, DeviceOptions
from utils.cli.options import flag, option
from utils.cli.value_types import (
    parse_channels,
    parse_criterion,
    parse_fold,
    parse_folder_name,
    parse_natural_number,
    parse_non_negative_number,
    parse_normalization,
    parse_positive_int,
    parse_positive_number,
    parse_ratios,
    parse_share,
)
from utils.training.loss_names import HARD_LOSSES, SOFT_LOSSES

SOFT_DEFAULTS = {"softloss": "KL+dice", "alpha": 0.1}
_LEARNING_RATES = {"Adam": 3e-3, "AdamW": 3e-3, "SGD": 1e-2}
_NAMES = ", ".join(architecture.name for architecture in ARCHITECTURES.values())


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """Name and seed of an experiment."""

    TITLE: ClassVar[str] = "experiment"

    run: str | None = option(
        "-r", "--run", parse=parse_folder_name, help="name of the experiment (default: a name made of the options)"
    )
    seed: int = option(
        "-x", "--seed", parse=parse_natural_number, default=0, help="seed of weights, patches and augmentation"
    )
    resume: bool = flag("--resume", recorded=False, help="resume the experiment where it stopped")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The network to train."""

    TITLE: ClassVar[str] = "network"

    network: Architecture = option(
        "-n", "--network", parse=find_architecture, required=True, help=f"architecture: {_NAMES}"
    )
    receptive_field_size: int | None = option(
        "--receptive-field-size",
        parse=parse_positive_int,
        help="side of the receptive field in voxels (default: 35, or the only one of the architecture)",
    )
    classes: LabelClasses = option(
        "--classes", parse=parse_classes, required=True, help="labels of the classes, such as 0,1,2 or 0,1+2 or 0,3"
    )
    class_names: tuple[tuple[str, str], ...] = option(
        "--class-names",
        parse=parse_titles,
        default=(),
        recorded=False,  # stored with the classes
        metavar="NAMES",
        help="what the classes are called in tables, pictures and files, such as 1=kidney,2=tumour; stored with the "
        "weights (default: a student's are those of its soft labels, else their labels)",
    )
    features: int | None = option(
        "--features", parse=parse_positive_int, help="width of the network in channels (default: the architecture's)"
    )
    dropout: float | None = option(
        "--dropout",
        parse=parse_non_negative_number,
        help="share of features that dropout leaves out (default: the architecture's)",
    )
    deep_supervision: bool = flag("--deep-supervision", help="train coarser outputs of a U-Net, too")
    init_weights: Path | None = option(
        "--init-weights",
        parse=Path,
        recorded=False,  # their content is
        help="weights of the same architecture to begin with (default: random weights)",
    )


@dataclass(frozen=True, kw_only=True)
class PatchSamplingOptions:
    """Patches: where they are sampled, and how they are transformed."""

    TITLE: ClassVar[str] = "patches"

    sample_size: int | None = option(
        "--sample-size",
        parse=parse_positive_int,
        help="side of the area that a patch classifies, in voxels (default: 16; of networks that pad, 48 in 2D and 32 "
        "in 3D)",
    )
    batch_size: int = option(
        "-b", "--batch-size", parse=parse_positive_int, default=40, help="number of patches in a training step"
    )
    patch_inclusion_criteria: str = option(
        "--patch-inclusion-criteria",
        parse=parse_criterion,
        default="entire-sample-area",
        help="position of the sampled voxel in its patch: anywhere (entire-sample-area) or the centre "
        "(patch-center-voxel)",
    )
    balance_ratios: tuple[float, ...] | None = option(
        "--balance-ratios",
        parse=parse_ratios,
        help="sampling probabilities of the classes, in any unit, such as 0,5,5 (default: equal)",
    )
    background_share: float | None = option(
        "--background-share",
        parse=parse_share,
        help="share of background patches that are drawn at least a sample size away from all foreground, 0 to 1 "
        "(default: as sampling gives it)",
    )
    crop_to_labels: bool = flag(
        "--crop-to-labels",
        help="sample only within the bounding box of the reference's foreground and one sample area around it",
    )
    planes: str = option(
        "--planes",
        choices=("auto", "axial", "all"),
        default="auto",
        help="planes of the patches of 2D networks; auto: all, but only axial where voxels are more than three times"
        " longer along z, and none whose slices are a single voxel wide in most volumes",
    )
    channels: tuple[str, ...] | None = option(
        "--channels",
        parse=parse_channels,
        metavar="NAMES",
        help="channels that the network reads, in order, such as T2,T1 (default: all that the cases have)",
    )
    normalization: str = option(
        "--normalization",
        parse=parse_normalization,
        default="auto",
        metavar="KIND",
        help="normalization of intensities: auto, ct, zscore or none, or one for each channel such as ct,zscore; auto: "
        "ct where most scans show air in HU, else zscore",
    )
    augmentation: str = option(
        "--augmentation",
        choices=("none", "light", "strong"),
        default="light",
        help="light: rotation, zoom, shift and scale of intensities; strong: more of these, gamma, blur and noise",
    )
    flip: bool = flag("--flip", help="mirror patches at random along every axis")
    fold: tuple[int, int] | None = option(
        "--fold", parse=parse_fold, metavar="K/N", help="leave out fold K of N folds of the patients (default: none)"
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationOptions:
    """Loss, optimizer and schedule."""

    TITLE: ClassVar[str] = "optimization"

    iterations: int = option(
        "-i", "--iterations", parse=parse_positive_int, default=8000, help="number of training steps"
    )
    loss: str = option("--loss", choices=tuple(HARD_LOSSES), default="CE+dice", help="loss on references")
    class_weights: tuple[float, ...] | None = option(
        "--class-weights",
        parse=parse_ratios,
        help="weights of the classes in the loss on references, such as 1,2,2 (default: equal)",
    )
    optimizer: str = option(
        "--optimizer",
        choices=tuple(_LEARNING_RATES),
        default="Adam",
        help="optimizer; SGD has Nesterov momentum 0.99",
    )
    learning_rate: float | None = option(
        "--learning-rate",
        parse=parse_positive_number,
        help="highest learning rate (default: 0.003; 0.01 for SGD)",
    )
    schedule: str = option(
        "--schedule",
        choices=("constant", "one-cycle", "poly"),
        default="one-cycle",
        help="schedule of the learning rate",
    )
    weight_decay: float = option(
        "--weight-decay", parse=parse_non_negative_number, default=0.0, help="weight decay of the optimizer"
    )


@dataclass(frozen=True, kw_only=True)
class StudentOptions:
    """Distillation."""

    TITLE: ClassVar[str] = "student"

    soft: bool = flag("--soft", help="train a student on the soft labels of ensemble.py -e train")
    soft_labels: Path | None = option(
        "--soft-labels",
        parse=Path,
        recorded=False,  # their content is
        help="folder of soft labels (default: SAVE/soft_labels/<classes>)",
    )
    softloss: str | None = option(
        "--softloss",
        choices=tuple(SOFT_LOSSES),
        help="loss on soft labels; KL+dice: with a Dice loss for soft labels (default: KL+dice)",
    )
    alpha: float | None = option(
        "--alpha", parse=parse_non_negative_number, help="weight of the loss on references (default: 0.1)"
    )
    temperature: float | None = option(
        "--temperature",
        parse=parse_positive_number,
        help="temperature of the soft labels (default: the one that they were made at)",
    )
    predict_uncertainty: bool = flag("--predict-uncertainty", help="learn the ensemble's standard deviation, too")


@dataclass(frozen=True, kw_only=True)
class ProgressOptions:
    """Validation, checkpoints and dashboard."""

    TITLE: ClassVar[str] = "progress"

    validate_every: int = option(
        "--validate-every", parse=parse_positive_int, default=500, help="steps between validations and log rows"
    )
    checkpoint_every: int = option(
        "--checkpoint-every", parse=parse_positive_int, default=500, help="steps between checkpoints"
    )
    visdom_port: int = option(
        "--visdom-port",
        parse=parse_natural_number,
        default=8008,
        recorded=False,
        help="port of the visdom server; 0: no dashboard",
    )
    visdom_server: str = option(
        "--visdom-server", default="http://localhost", recorded=False, help="address of the visdom server"
    )
    visdom_picture: str = option(
        "--visdom-picture",
        choices=("auto", "on", "off"),
        default="auto",
        recorded=False,
        help="send a picture of a validation slice to the server; auto: only to a server on this machine",
    )


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(
    DataOptions,
    ExperimentOptions,
    NetworkOptions,
    PatchSamplingOptions,
    OptimizationOptions,
    StudentOptions,
    ProgressOptions,
    DeviceOptions,
):
    """All options of a training."""

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        if self.run:
            return self.run
        parts = [
            self.network.name,
            f"rf{self.receptive_field_size}",
            f"s{self.sample_size}",
            f"c{self.classes.folder_name.replace('_', '-')}",
            "+".join(self.channels or ()),
            self.loss,
            f"soft-{self.softloss}-a{self.alpha:g}" if self.soft else "",
            "fold{}of{}".format(*self.fold) if self.fold else "",
            f"i{self.iterations}",
            f"x{self.seed}",
        ]
        return "_".join(filter(None, parts))

    def settled(self, number_of_processes: int) -> "TrainingOptions":
        """Return the options with every default filled in that depends on another option.

        Raises:
            InputError: options contradict each other, the architecture, or the folders that there are.
        """
        field_size = self.network.receptive_field if self.receptive_field_size is None else self.receptive_field_size
        rate = _LEARNING_RATES[self.optimizer] if self.learning_rate is None else self.learning_rate
        soft = {name: value for name, value in SOFT_DEFAULTS.items() if self.soft and getattr(self, name) is None}
        settled = replace(
            self,
            receptive_field_size=field_size,
            sample_size=self.network.sample_size if self.sample_size is None else self.sample_size,
            learning_rate=rate,
            **soft,
        )
        settled._check(number_of_processes)
        try:
            check_run_name(settled.experiment)
        except ValueError as error:
            raise InputError("-r", f"the experiment would be called {settled.experiment}: {error}", "name it") from None
        for name in ("soft_labels", "softloss", "alpha", "temperature"):
            if getattr(self, name) is not None and not self.soft:
                raise InputError(f"--{name.replace('_', '-')}", "means nothing without --soft", "add --soft")
        settled.check_folders()
        return settled

    def _check(self, number_of_processes: int) -> None:
        self.network.check_receptive_field(self.receptive_field_size)
        self.network.options(self.features, self.dropout, self.deep_supervision)
        if self.sample_size > self.network.largest_sample_size:
            problem = f"{self.sample_size} voxels are more than {self.network} can be trained on"
            raise InputError("--sample-size", problem, f"give {self.network.largest_sample_size} or less")
        for name in ("balance_ratios", "class_weights"):
            given = getattr(self, name)
            if given and len(given) != len(self.classes):
                problem = f"{len(given)} numbers for {len(self.classes)} classes"
                raise InputError(f"--{name.replace('_', '-')}", problem, "give one a class")
        if self.batch_size < number_of_processes:
            problem = f"{self.batch_size} patches for {number_of_processes} processes"
            raise InputError("--batch-size", problem, "give each one patch at least, or start fewer processes")
        if self.background_share is not None and self.balance_ratios and not self.balance_ratios[0]:
            problem = "contradicts --balance-ratios, which never draws background"
            raise InputError("--background-share", problem, "leave one of them out")
        if self.class_weights and not any(self.class_weights[1:]):
            raise InputError("--class-weights", "every foreground class weighs 0", "give one of them a weight")
        if self.predict_uncertainty and not self.soft:
            raise InputError("--predict-uncertainty", "means nothing without --soft", "add --soft")
        if self.network.dimensions == 3 and self.planes != "auto":
            raise InputError("--planes", f"{self.network.name} has no planes", "leave --planes out")
        if self.flip and self.augmentation == "none":
            raise InputError("--flip", "contradicts --augmentation none", "leave one of them out")
