"""What was found for a network, or an ensemble, on validation cases, and predictions of new scans need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from base.component_choice import ComponentChoice
from base.dice_calibration import DiceCalibration
from base.run_files import COMPONENT_CHOICE, DICE_CALIBRATION, beside_weights
from networks.description import NetworkDescription


@dataclass(frozen=True)
class ValidationFindings:
    """Findings for a network or an ensemble.

    Attributes:
        components: choice of those to keep; None if nothing was chosen.
        calibration: how estimates of the Dice become predictions of it; None if that was not calibrated.
    """

    components: ComponentChoice | None
    calibration: DiceCalibration | None

    @classmethod
    def of_weights(cls, weights: Path, description: NetworkDescription, sha256: str) -> "ValidationFindings":
        """Read what lies beside `weights` of this description and SHA-256, and was found for them.

        Raises:
            InputError: a file is damaged.
        """
        paths = (beside_weights(weights, name) for name in (COMPONENT_CHOICE, DICE_CALIBRATION))
        return cls._read(*paths, {description.experiment: sha256}, description)

    @classmethod
    def of_run(cls, folder: Path, member: NetworkDescription, weights: Mapping[str, str]) -> "ValidationFindings":
        """Read what lies in the folder of an ensemble's run, and was found for it.

        Args:
            folder: SAVE/<run>.
            member: description of one.
            weights: SHA-256 of those of all members, by experiment.

        Raises:
            InputError: a file is damaged.
        """
        return cls._read(folder / COMPONENT_CHOICE, folder / DICE_CALIBRATION, weights, member)

    @classmethod
    def _read(
        cls, choice_path: Path, calibration_path: Path, weights: Mapping[str, str], description: NetworkDescription
    ) -> "ValidationFindings":
        choice = ComponentChoice.read(choice_path)
        if choice and not choice.suits(weights, description.classes.names[1:]):
            choice = None
        calibration = DiceCalibration.read(calibration_path)
        if calibration and not calibration.suits(weights):
            calibration = None
        return cls(choice, calibration)
