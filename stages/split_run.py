"""Parts that stages 3 and 4 share: the record of a run, clipping to another run, the check of intensities."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from base.errors import InputError
from base.regions import Region
from base.run_record import EnsembleSettings, RunRecord
from data.cases import Case, check_channels, check_voxel_size
from data.clipping import Clip, clip_checksum, clip_of_prediction
from data.intensity_range import intensity_warning
from networks.weights import TrainedNetwork
from stages.ensemble_options import EnsembleOptions
from stages.testing_options import NetworkTestOptions
from utils.inference.mirrored_views import mirrorings

RunOptions = NetworkTestOptions | EnsembleOptions


def record_of(
    options: RunOptions,
    cases: Sequence[Case],
    networks: Sequence[TrainedNetwork],
    regions: Sequence[Region],
    precision: str,
    kept: int | Mapping[str, int],
    ensemble: EnsembleSettings | None = None,
) -> RunRecord:
    """Return the record of a run of `networks`, all of the same classes.

    Args:
        precision: the one in use.
        kept: number of components to keep, as settled.

    Raises:
        InputError: a prediction to clip to is missing or of another scan.
    """
    return RunRecord(
        weights={network.experiment: network.sha256 for network in networks},
        classes=networks[0].description.classes,
        settings=options.settings(precision, kept),
        ensemble=ensemble,
        regions=tuple(region.name for region in regions),
        tolerance_mm=options.tolerance_mm,
        networks={network.experiment: network.description.summary for network in networks},
        cases={case.name: case.content for case in cases},
        patients={case.name: case.patient for case in cases},
        clips=_clip_checksums(options, cases),
    )


def check_networks(networks: Sequence[TrainedNetwork], cases: Sequence[Case], views: int) -> None:
    """Raise InputError where `networks` do not suit the `cases`, or have fewer `views`.

    They know the voxel size and the channels that they were trained on.
    """
    for network in networks:
        check_voxel_size(cases, network.description.voxel_size_mm, network.path)
        check_channels(cases, network.description.channels, network.path)
        try:
            mirrorings(network.description, views)
        except ValueError as error:
            remedy = "train with --flip, or ask for fewer views"
            raise InputError("--views", f"{network.path}: {error}", remedy) from None


def _clip_checksums(options: RunOptions, cases: Sequence[Case]) -> dict[str, str]:
    """Return the checksum of the prediction that each case is clipped to, by name; none without --clip-to."""
    if not options.clip_to:
        return {}
    sums = {case.name: clip_checksum(options.clip_path(options.save, case.name), case) for case in cases}
    record = RunRecord.read(options.clip_folder(options.save))
    predicted = (record.cases if record else None) or {}
    for case in cases:
        if predicted.get(case.name, case.fingerprint).get("image") != case.fingerprint["image"]:
            problem = f"was predicted of another scan than {case.folder} holds now"
            remedy = f"predict the split again with -r {options.clip_to}"
            raise InputError(options.clip_path(options.save, case.name), problem, remedy)
    return sums


def clip_of_run(options: RunOptions, case: Case) -> Clip | None:
    """Return the masks of the foreground that the run named by --clip-to predicted; None without --clip-to."""
    return clip_of_prediction(options.clip_path(options.save, case.name), case) if options.clip_to else None


def check_intensities(networks: Sequence[TrainedNetwork], case: Case, images: Mapping[str, np.ndarray]) -> bool | None:
    """Print a warning on standard error if a scan's intensities are unlike those of the networks' training scans.

    Args:
        images: float32 (z, y, x), of each channel by name.

    Returns:
        whether they are; None where no network tells its intensities.
    """
    found = []
    for channel, image in images.items():
        known = [one for network in networks if (one := network.description.intensities_of(channel))]
        message, misses = intensity_warning(known, image)
        found.append(misses)
        if message:
            scan = f"{case.name}, channel {channel}" if channel else case.name
            tqdm.write(f"warning: {scan}: {message}", file=sys.stderr)
    told = [misses for misses in found if misses is not None]
    return any(told) if told else None
