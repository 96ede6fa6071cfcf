"""Export a network: convert it, quantize it if asked, check the file, and keep it."""

import errno
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from base.atomic_file import replacing
from base.errors import InputError
from base.version import VERSION, versions
from data.cases import Case, check_channels, check_voxel_size, find_cases, with_reference
from data.intensities import normalize, scaling_of
from networks.description import NetworkDescription
from networks.exported import ExportedNetwork, ImageNeeds, document_of, pack, read_exported, unpack
from networks.onnx_export import sides_multiple, to_onnx
from networks.validation_findings import ValidationFindings
from networks.weights import TrainedNetwork, load_weights
from stages.engines import array_network, open_graph
from stages.export_options import ExportOptions
from stages.quantization import quantize
from utils.inference.activation_memory import activation_bytes
from utils.inference.array_networks import ArrayNetwork
from utils.inference.onnx_engines import installed_engine
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import InferenceOptions
from utils.runtime.processes import ALONE
from utils.runtime.threads import use_threads

LARGEST_DIFFERENCE = 1e-4  # of probabilities, between an exported network and PyTorch
_CASES, _PATCHES_PER_CASE, _PATCHES_OF_NOISE = 4, 2, 4  # that an exported network is checked with
_MEASURED_SIDE = {2: 64, 3: 32}  # of the image whose activations are estimated


def export_network(options: ExportOptions) -> None:
    """Export a network to one file.

    Raises:
        InputError: weights or cases do not suit the options, or the file would not predict as it should.
    """
    trained = load_weights(options.weights_path)
    description = trained.description
    cases = find_split(options, trained)
    threads, engine = use_threads(options.threads, ALONE), installed_engine()
    if engine is None:
        raise InputError(options.output, "cannot be checked: OpenVINO is not installed", "see requirements-export.txt")
    network = trained.build()
    exported = convert(options, trained, network)
    patches = patches_of(description, cases)
    kind = f"patches of {len(cases[:_CASES])} cases" if cases else "patches of noise, without -d DATA"

    def compare(written: ExportedNetwork) -> None:
        own = array_network(written, open_graph(written, engine, threads, "fp32"))
        reference = TorchNetwork(network, torch.device("cpu"), description.number_of_classes)
        difference = largest_difference(description, reference, own, patches)
        if not difference <= LARGEST_DIFFERENCE:
            problem = f"would differ from PyTorch by {difference:.2g} in probabilities, above {LARGEST_DIFFERENCE:g}"
            raise InputError(options.output, f"{problem}, on {kind}", "report it, with the versions of --version")
        print(f"32 bits: probabilities differ from PyTorch's by {difference:.1e} at most, on {kind}")

    def verify(path: Path) -> None:
        written = read_exported(path)
        if written.content != exported.content:
            raise OSError(errno.EIO, "the written file has different content")
        if not options.int8:
            compare(written)

    if options.int8:
        compare(exported)
        plain = model_of(description, network, blockwise=False)
        exported = quantize(exported, plain, cases, engine, threads, options.settled_margin, options.evaluate)
    with replacing(options.output, verify) as temporary:
        temporary.write_bytes(exported.content)
    before, after = (path.stat().st_size / 1e6 for path in (trained.path, options.output))
    print(f"{options.output}: {after:.2f} MB, weights {before:.2f} MB")


def find_split(options: ExportOptions, trained: TrainedNetwork) -> list[Case]:
    """Return the cases of the split, with --int8 those with a reference; none without -d.

    Raises:
        InputError: there is none, or they do not suit the network.
    """
    if options.data is None:
        return []
    cases = find_cases(options.data, options.evaluate)
    check_voxel_size(cases, trained.description.voxel_size_mm, trained.path)
    check_channels(cases, trained.description.channels, trained.path)
    return with_reference(cases) if options.int8 else cases


def convert(options: ExportOptions, trained: TrainedNetwork, network: torch.nn.Module) -> ExportedNetwork:
    """Convert a network with its description."""
    description = trained.description
    channels, dimensions = len(description.channels), description.dimensions
    if description.pads:
        sides = [_MEASURED_SIDE[dimensions]] * dimensions
        bytes_per_voxel = activation_bytes(network, channels, sides) / np.prod(sides)
    else:
        bytes_per_voxel = network.for_padding_values([0.0] * channels).bytes_per_voxel()
    needs = ImageNeeds(
        sides_multiple(network), 0 if description.pads else description.receptive_field // 2, float(bytes_per_voxel)
    )
    findings = ValidationFindings.of_weights(trained.path, description, trained.sha256)
    more = {
        "made_by": {"program": VERSION, **versions()},
        "licence": options.licence,
        "axes": {"images": ["batch", "channel", *"zyx"[-dimensions:]], "orientation": "LPS"},
        "padding_values": [
            scaling_of(one, lambda kind: None).padding_value if one.kind == "ct" else None  # else: the scan's darkest
            for one in description.normalizations
        ],
        "window": {"side": description.sample_size, "overlap": InferenceOptions().overlap}
        if description.fixed_size
        else None,
        "precision": "fp32",
    }
    document = document_of(description, needs, findings, trained.sha256, more)
    return unpack(options.output, pack(model_of(description, network), document))


def model_of(description: NetworkDescription, network: torch.nn.Module, blockwise: bool = True) -> bytes:
    """Return a network as the bytes of an ONNX model; see `to_onnx`."""
    channels, classes = len(description.channels), description.number_of_classes
    return to_onnx(network, description.dimensions, channels, classes, blockwise)


def patches_of(description: NetworkDescription, cases: Sequence[Case]) -> list[np.ndarray]:
    """Return normalized patches, float32 (1, channels, sides...), around the middles of scans; noise without cases.

    Their sides are odd, so that networks with strides must pad them.
    """
    side = description.sample_size + 1 + (description.sample_size % 2)
    shape = (side,) * description.dimensions
    rng = np.random.default_rng(0)
    if not cases:
        size = (_PATCHES_OF_NOISE, 1, len(description.channels), *shape)
        return list(rng.normal(size=size).astype(np.float32))
    patches = []
    for case in cases[:_CASES]:
        images = case.resampled_images(description.channels)
        volume, _ = normalize(list(images.values()), description.normalizations)
        if description.dimensions == 2:
            planes = rng.permutation(description.planes)[:_PATCHES_PER_CASE]
            parts = [np.take(volume, volume.shape[1 + axis] // 2, axis=1 + axis) for axis in planes]
        else:
            parts = [volume]
        patches += [_middle(part, shape)[None] for part in parts]
    return patches


def _middle(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the middle of an image (channels, sides...), at most of `shape`."""
    firsts = [max(0, (side - wanted) // 2) for side, wanted in zip(image.shape[1:], shape)]
    box = tuple(slice(first, first + wanted) for first, wanted in zip(firsts, shape))
    return np.ascontiguousarray(image[(slice(None), *box)])


def largest_difference(
    description: NetworkDescription, one: ArrayNetwork, other: ArrayNetwork, patches: Sequence[np.ndarray]
) -> float:
    """Return the largest difference of two networks' outputs, of all patches; NaN if an output is NaN."""
    if description.pads:
        return max(float(np.abs(one(patch) - other(patch)).max()) for patch in patches)
    values = patches[0][0].reshape(patches[0].shape[1], -1).min(axis=1)  # as of air
    first, second = one.for_padding_values(values), other.for_padding_values(values)
    differences = [float(np.abs(first.constant - second.constant).max())]
    for patch in patches:
        wanted = [slice(0, side) for side in patch.shape[2:]]
        differences.append(float(np.abs(first(patch, wanted) - second(patch, wanted)).max()))
    return max(differences)
