"""Networks that predict together: single ones, those that a command line names, or the members of an ensemble's run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from base.errors import InputError
from base.run_record import RunRecord
from networks.validation_findings import ValidationFindings
from stages.engines import Engines, LoadedNetwork
from utils.cli.value_types import several_files

_SPLITS = ("val", "test", "train")


@dataclass(frozen=True)
class NetworkGroup:
    """Networks whose mean predicts.

    Attributes:
        networks: of the same classes and voxel size.
        weights: of each in the mean.
        run: experiment of a single network, or name of the ensemble's run; None for several networks without a run.
        findings: on validation cases, for the mean.
    """

    networks: list[LoadedNetwork]
    weights: list[float]
    run: str | None
    findings: ValidationFindings


def load_group(engines: Engines, option: str, patterns: Sequence[str]) -> NetworkGroup:
    """Load the networks that an option names: files, or the folder of an ensemble's run (SAVE/<run>).

    Raises:
        InputError: there is none, a file is missing or damaged, or networks do not suit each other.
    """
    paths = several_files(option, patterns)
    if not paths:
        raise InputError(option, "names no network", "name a file of one")
    folders = [path for path in paths if path.is_dir()]
    if folders:
        if len(paths) > 1:
            raise InputError(option, f"names {folders[0]} and {len(paths) - 1} more", "name one folder, or files")
        return _members_of(engines, folders[0])
    networks = _alike([engines.load(path) for path in paths])
    alone = len(networks) == 1
    findings = networks[0].findings if alone else ValidationFindings(None, None)
    run = networks[0].description.experiment if alone else None
    return NetworkGroup(networks, [1.0] * len(networks), run, findings)


def _members_of(engines: Engines, folder: Path) -> NetworkGroup:
    """Load the members of the ensemble whose run has the folder SAVE/<run>, beside the members' own folders."""
    read = {split: RunRecord.read(folder / split) for split in _SPLITS}
    records = {split: record for split, record in read.items() if record and record.ensemble and record.weights}
    if not records:
        raise InputError(folder, "holds no run of ensemble.py", "name SAVE/RUN of an ensemble, or files of networks")
    (first, record), *others = records.items()
    for split, other in others:
        if (other.weights, other.ensemble.member_weights) != (record.weights, record.ensemble.member_weights):
            problem = f"has other members, or other weights of them, in {first} than in {split}"
            raise InputError(folder, problem, "predict both splits with the same members, or name files of networks")
    shares = {name: record.ensemble.member_weights.get(name, 1.0) for name in record.weights}
    names = [name for name, share in shares.items() if share]
    networks = [_member(engines, folder, name, record.weights[name]) for name in names]
    findings = ValidationFindings.of_run(folder, networks[0].description, record.weights)
    return NetworkGroup(_alike(networks), [shares[name] for name in names], folder.resolve().name, findings)


def _member(engines: Engines, folder: Path, name: str, sha256: str) -> LoadedNetwork:
    for path in sorted((folder.parent / name).glob("FINAL_*.pth")):
        network = engines.load(path)
        if network.sha256 == sha256:
            return network
    problem = f"its member {name} is not in {folder.parent / name}, or was trained again"
    raise InputError(folder, problem, "name the files of the members")


def _alike(networks: list[LoadedNetwork]) -> list[LoadedNetwork]:
    """Return networks of the same classes and voxel size; raise InputError for others."""
    first = networks[0].description
    for network in networks[1:]:
        one = network.description
        if one.classes != first.classes:
            problem = f"has classes {one.classes}, {networks[0].path} {first.classes}"
            raise InputError(network.path, problem, "name networks of the same classes")
        if one.voxel_size_mm != first.voxel_size_mm:
            problem = f"was trained on voxels of {one.voxel_size_mm} mm, {networks[0].path} of {first.voxel_size_mm} mm"
            raise InputError(network.path, problem, "name networks of the same voxel size")
    return networks
