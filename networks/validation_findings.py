"""What was found for a network on validation cases, and predictions of new scans need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from base.component_choice import ComponentChoice
from base.dice_calibration import DiceCalibration
from base.run_files import COMPONENT_CHOICE, DICE_CALIBRATION, beside_weights
from networks.description import NetworkDescription


@dataclass(frozen=True)
class KeptComponents:
    """Number of largest components to keep by name of the class, in predictions clipped to the run `clip_to`."""

    kept: Mapping[str, int]
    clip_to: str | None


@dataclass(frozen=True)
class ValidationFindings:
    """Findings for a network.

    Attributes:
        components: to keep; None if nothing was chosen.
        calibration: how estimates of the Dice become predictions of it; None if that was not calibrated.
    """

    components: KeptComponents | None
    calibration: DiceCalibration | None

    @classmethod
    def read(cls, weights: Path, description: NetworkDescription, sha256: str) -> "ValidationFindings":
        """Read what lies beside `weights` of this description and SHA-256, and was found for them.

        Raises:
            InputError: a file is damaged.
        """
        own = {description.experiment: sha256}
        choice = ComponentChoice.read(beside_weights(weights, COMPONENT_CHOICE))
        components = None
        if choice and choice.suits(own, choice.clip_to, description.classes.names[1:]):
            components = KeptComponents(choice.kept, choice.clip_to)
        calibration = DiceCalibration.read(beside_weights(weights, DICE_CALIBRATION))
        if calibration and not calibration.suits(own, calibration.clip_to):
            calibration = None
        return cls(components, calibration)
