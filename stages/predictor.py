"""Prediction of a scan in memory, with one stage or two. Also the library's interface:

from stages.predictor import Predictor

predictor = Predictor("student.onnx")
prediction = predictor.predict(SimpleITK.ReadImage("scan.nii.gz"))
SimpleITK.WriteImage(prediction.image, "labels.nii.gz")
print(prediction.volumes_ml)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from base.channels import UNNAMED
from base.errors import InputError
from base.intensity_records import Range
from base.label_classes import LabelClasses, with_titles
from base.regions import regions_of
from data.clipping import Clip, clip_of_mask
from data.components import keep_components
from data.images.image_files import Grid, lps_grid
from data.images.image_geometry import Placement
from data.intensities import normalize, shown_window
from data.intensity_range import intensity_warning
from data.predictions import Scan
from data.resampled_scan import resample_scan
from data.resampling import VoxelSize, checked_grid
from stages.engines import Engines, LoadedNetwork
from stages.network_groups import NetworkGroup, load_group
from stages.scan_options import PredictorOptions
from utils.ensembling.agreement import MemberAgreement
from utils.ensembling.running_average import RunningMoments
from utils.evaluation.dice_estimates import agreement_of_uncertainty, estimate_dice

Paths = str | Path | Sequence[str | Path]

_DEFAULTS = PredictorOptions()
_MM3_PER_ML = 1000


@dataclass(frozen=True)
class PredictedDice:
    """Predicted Dice of a class, and its lower bound at 90% from a number of validation `patients`; None for none."""

    dice: float
    low: float | None
    patients: int


@dataclass(frozen=True)
class Prediction:
    """Prediction of a scan. Arrays are (z, y, x) along LPS.

    Attributes:
        scan: whose grid the prediction lies on.
        classes: of the prediction.
        labels: uint8, on the scan's grid.
        probabilities: float32 (classes, z, y, x), on the resampled grid.
        uncertainty: float32 (z, y, x) on the resampled grid: a student's, or the largest standard deviation over
            several networks; None where there is none.
        warnings: how the scan differs from those that the networks were trained on.
        predicted_dice: of each foreground class, by its title or name, as calibrated on validation cases; empty where
            that was not done, and for several networks that are named one by one.
        window: intensities of the first channel that a picture shows in black and white; None if it is not read.
    """

    scan: Scan
    classes: LabelClasses
    labels: np.ndarray
    probabilities: np.ndarray
    uncertainty: np.ndarray | None
    warnings: tuple[str, ...]
    predicted_dice: Mapping[str, PredictedDice] = field(default_factory=dict)
    window: Range | None = None

    @property
    def image(self) -> sitk.Image:
        """The labels as an image with the exact geometry of the scan."""
        return self.scan.image_of(self.labels)

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of each foreground class in ml, by its title or name."""
        voxel_ml = float(np.prod(self.scan.spacing_mm)) / _MM3_PER_ML
        foreground = list(zip(self.classes.shown, self.classes.written_labels))[1:]
        return {name: np.count_nonzero(self.labels == label) * voxel_ml for name, label in foreground}

    def probability(self, name: str) -> sitk.Image:
        """Return the probability of a class, by its title or name, as a float32 image on the scan's grid."""
        return self.scan.image_of(self.scan.restored(self.probabilities[self.classes.shown.index(name)]))


class Predictor:
    """Predicts scans with one network or the mean of several, everywhere or inside what a first stage finds.

    Args:
        weights: files of the networks (.pth or .onnx), or globs of them; or the folder of an ensemble's run.
        within: the same of the first stage; nothing for one stage.
        options: see the options of predict.py.

    Attributes:
        group, first: networks of the prediction, and of the first stage; None for one stage.
        classes: of the predictions.
        kept: number of components that are kept, of all classes or of each by its name; 0 keeps all.
        kept_first: the same of the first stage; 0 for one stage.
        place: device and threads, for the user.
        notes: what was found on validation cases and does not hold with these options, for the user.
        calibration: of the predicted Dice; None if none is predicted.

    Raises:
        InputError: a file is missing or damaged, or networks do not suit each other or the options.
    """

    def __init__(self, weights: Paths, within: Paths = (), options: PredictorOptions = _DEFAULTS):
        engines = Engines(options)
        self.group = load_group(engines, "--weights", _listed(weights))
        self.first = load_group(engines, "--within", _listed(within)) if _listed(within) else None
        self.classes = _titled(self.group.networks[0].description.classes, options)
        clip_to = None if self.first is None else self.first.run or ""  # several networks are no run
        self.kept, note = options.keep_largest, None
        if options.keep_largest is None:
            self.kept, note = _kept(self.group, clip_to, options.views, "--weights")
        self.kept_first, first_note = _kept(self.first, None, options.views, "--within") if self.first else (0, None)
        self.place = engines.place
        self.calibration, dice_note = self.group.findings.calibration, None
        if self.calibration:
            dice_note = self.calibration.note_with(clip_to, options.views, self.kept)
            if first_note and not dice_note:
                dice_note = "note: no predicted Dice: it was calibrated with the components of the first stage"
            self.calibration = None if dice_note else self.calibration
        self.notes = tuple(filter(None, (note, first_note, dice_note)))

    def predict(
        self,
        scan: sitk.Image | Mapping[str, sitk.Image],
        placement: Placement | None = None,
        path: Path | str = "the scan",
    ) -> Prediction:
        """Predict a scan of three dimensions.

        Args:
            scan: an image of any spacing, orientation and size, or one of each channel by name; the prediction lies on
                the grid of the first.
            placement: matrices of the scan's file, for files that are written.
            path: of the scan, for errors.

        Raises:
            InputError: an image has not three dimensions, a channel is missing or lies elsewhere, or the scan would be
                too large on the networks' grid.
        """
        images = scan if isinstance(scan, Mapping) else {UNNAMED: scan}
        if any(image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1 for image in images.values()):
            raise InputError(path, "is no image of three dimensions and one value a voxel", "extract one from it")
        inside, warnings = self._first_stage(images, placement, path) if self.first else (None, ())
        prediction, members = _segment(self.group, self.classes, self.kept, images, placement, path, inside)
        warnings = tuple(dict.fromkeys([*warnings, *prediction.warnings]))
        return replace(prediction, warnings=warnings, predicted_dice=self._predicted_dice(prediction, members))

    def _predicted_dice(self, prediction: Prediction, members: MemberAgreement) -> dict[str, PredictedDice]:
        """Return the predicted Dice of each class, with the calibration that suits the networks."""
        calibration = self.calibration
        if not calibration:
            return {}
        own = self.group.networks[0].description.classes
        regions = regions_of(own)
        agreements = members.pairwise_dice(regions)
        if len(self.group.networks) == 1 and self.group.networks[0].description.predicts_uncertainty:
            agreements = agreement_of_uncertainty(prediction.probabilities, prediction.uncertainty, regions)
        estimates = estimate_dice(prediction.probabilities, regions, agreements)
        found = {}
        for name, shown in list(zip(own.shown, self.classes.shown))[1:]:
            line, value = calibration.lines.get(name), getattr(estimates[name], calibration.estimator)
            if line and value is not None:
                found[shown] = PredictedDice(line.predict(value), line.bound(value), line.patients)
        return found

    def _first_stage(
        self, images: Mapping[str, sitk.Image], placement: Placement | None, path: Path | str
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the foreground that the first stage finds, boolean (z, y, x) on the scan's grid, and its warnings."""
        classes = self.first.networks[0].description.classes
        found, _ = _segment(self.first, classes, self.kept_first, images, placement, path)
        return found.labels > 0, found.warnings


def _segment(
    group: NetworkGroup,
    classes: LabelClasses,
    kept: int | Mapping[str, int],
    images: Mapping[str, sitk.Image],
    placement: Placement | None,
    path: Path | str,
    inside: np.ndarray | None = None,
) -> tuple[Prediction, MemberAgreement]:
    """Predict a scan with the mean of a group; background beyond `inside`, a mask on its grid along LPS.

    Returns:
        prediction; segmentations of the single networks, where several predict.
    """
    networks = group.networks
    wanted = dict.fromkeys(channel for network in networks for channel in network.description.channels)
    own = _channels_of(images, list(wanted), path)
    arrays, grid, notes = _resampled(images, own, networks[0].description.voxel_size_mm, path)
    scan = Scan(next(iter(images.values())), grid, placement)
    clip = None if inside is None else clip_of_mask(inside, scan.grid, grid)
    probabilities, uncertainty, members = _mean(group, arrays, clip)
    labels = scan.decide(probabilities, classes, clip)
    if clip:
        clip.apply(probabilities)
        uncertainty = None if uncertainty is None else uncertainty * clip.on_grid
    labels = keep_components(labels, kept, classes)
    warnings = (*notes, *_warnings(networks, arrays, scan.grid))
    shown = next((channel for channel, image in own.items() if image is next(iter(images.values()))), None)
    window = None if shown is None else _window(networks, shown, arrays[shown])
    return Prediction(scan, classes, labels, probabilities, uncertainty, warnings, window=window), members


def _window(networks: Sequence[LoadedNetwork], channel: str, array: np.ndarray) -> Range:
    """Return the intensities of a channel that a picture shows, as the first network normalizes it that reads it."""
    known = (network.description for network in networks if channel in network.description.channels)
    description = next(known)
    return shown_window(description.normalizations[description.channels.index(channel)], array)


def _channels_of(images: Mapping[str, sitk.Image], wanted: Sequence[str], path: Path | str) -> dict[str, sitk.Image]:
    """Return the images of the channels that networks read.

    A single image without a name is whatever single channel they read, and a channel without a name any single image.
    """
    if len(images) == len(wanted) == 1 and UNNAMED in (*images, *wanted):
        return {wanted[0]: next(iter(images.values()))}
    for channel in wanted:
        if channel not in images:
            lacking = f"channel {channel}" if channel else "scan of one channel without a name"
            known = ", ".join(filter(None, images)) or "one without a name"
            raise InputError(path, f"has no {lacking}, which the network reads; its channels: {known}", "add it to -i")
    return {channel: images[channel] for channel in wanted}


def _resampled(
    images: Mapping[str, sitk.Image], wanted: Mapping[str, sitk.Image], voxel_size_mm: VoxelSize, path: Path | str
) -> tuple[dict[str, np.ndarray], Grid, list[str]]:
    """Resample the `wanted` channels of a scan to a network's voxels.

    Returns:
        intensities of each, float32 (z, y, x) along LPS; their grid; a note on each that lies on another grid.
    """
    first = next(iter(images.values()))
    grid = checked_grid(path, lps_grid(first), voxel_size_mm)
    arrays, notes = {}, []
    for channel, image, note in resample_scan(wanted, Grid.of(first), grid, lambda name: path):
        arrays[channel] = sitk.GetArrayFromImage(image).astype(np.float32)
        notes += [note] if note else []
    return arrays, grid, notes


def _mean(
    group: NetworkGroup, arrays: Mapping[str, np.ndarray], clip: Clip | None
) -> tuple[np.ndarray, np.ndarray | None, MemberAgreement]:
    """Return mean probabilities and uncertainty, see `Prediction`, and the segmentations of several networks.

    The clip is applied to the segmentations only.
    """
    moments, members = RunningMoments(), MemberAgreement()
    for network, weight in zip(group.networks, group.weights):
        own = [arrays[channel] for channel in network.description.channels]
        volume, padding_values = normalize(own, network.description.normalizations)
        outputs = network.predict(volume, padding_values, clip.computed if clip else None)
        classes = network.description.number_of_classes
        if len(group.networks) == 1:
            return outputs[:classes], outputs[classes] if len(outputs) > classes else None, members
        moments.add(outputs[:classes], weight)
        if clip:
            clip.apply(outputs)
        members.add(outputs[:classes])
    return moments.mean, moments.deviation().max(axis=0), members


def _warnings(networks: Sequence[LoadedNetwork], arrays: Mapping[str, np.ndarray], grid: Grid) -> tuple[str, ...]:
    """Return how a scan, on its own `grid`, differs from the networks' training scans."""
    found = []
    for channel, array in arrays.items():
        known = [one for network in networks if (one := network.description.intensities_of(channel))]
        if message := intensity_warning(known, array)[0]:
            found.append(f"channel {channel}: {message}" if channel else message)
    for network in networks:
        if network.description.scans:
            found += network.description.scans.warnings(grid.spacing_mm, grid.shape)
    return tuple(dict.fromkeys(filter(None, found)))


def _listed(paths: Paths) -> list[str]:
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]


def _titled(classes: LabelClasses, options: PredictorOptions) -> LabelClasses:
    """Return the classes with the titles of the network, or those given."""
    if not options.classes_as:
        return classes
    if classes.titles:
        problem = f"the network calls its classes {', '.join(classes.titles)}"
        raise InputError("--classes-as", problem, "leave it out")
    return with_titles(classes, options.classes_as, "--classes-as")


def _kept(
    group: NetworkGroup, clip_to: str | None, views: int, option: str
) -> tuple[int | Mapping[str, int], str | None]:
    """Return the number of components to keep, as chosen for the group of an option, else 0; and a note on why."""
    choice = group.findings.components
    if choice is None or choice.holds_with(clip_to, False, views):
        return choice.kept if choice else 0, None
    return 0, f"note: {option}: {choice.not_applied}"
