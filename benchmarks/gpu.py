#!/usr/bin/env python3
"""Networks on a GPU: as right as on the CPU, and no slower than their arithmetic.

    python -m benchmarks.gpu --json gpu.json
    python -m benchmarks.gpu --device cpu --tiny        a trial of this program on a machine without a GPU

Takes less than five minutes on a GPU. It needs PyTorch with CUDA and what `requirements.txt` names beside it.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import WORK_FOLDER, Row, report, side_by_side

NEEDED = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "tqdm")
CLASSES = 3
_AIR = -1.0  # padding value of the volumes


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run of the benchmark.

    Attributes:
        phantom: shape (z, y, x) of the scans that are trained on, in voxels.
        compared: shape of the volume whose predictions are compared.
        timed: shape of the volume whose prediction is timed.
        samples: side of a patch, for 2 and 3 dimensions.
        batch: patches of a training step, for 2 and 3 dimensions.
        steps: of a block that is timed together.
        repeats: of every timing.
        features: width of the networks; None for their defaults.
    """

    phantom: tuple[int, int, int]
    compared: tuple[int, int, int]
    timed: tuple[int, int, int]
    samples: dict[int, int]
    batch: dict[int, int]
    steps: int
    repeats: int
    features: int | None = None


FULL = Sizes((40, 160, 160), (24, 96, 96), (97, 512, 512), {2: 128, 3: 64}, {2: 40, 3: 4}, 30, 5)
TINY = Sizes((10, 26, 32), (5, 22, 20), (4, 24, 24), {2: 16, 3: 8}, {2: 2, 3: 1}, 1, 1, features=4)


def check_machine(device: str) -> None:
    """Exit with a line that names what is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"error: missing here: {', '.join(missing)}; install them, or put their wheels on PYTHONPATH")
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no CUDA device here; for a trial of this program: --device cpu --tiny")


def measure(device_name: str, sizes: Sizes, work: Path) -> Iterator[Row]:
    """Yield the rows of all networks."""
    import torch

    from networks import ARCHITECTURES

    device = torch.device(device_name)
    cases = training_cases(sizes, work)
    for architecture in ARCHITECTURES.values():
        yield from differences(architecture.name, device, sizes)
        yield from training(architecture.name, device, sizes, cases)
        yield whole_volume(architecture.name, device, sizes)
    yield compiled(device, sizes)
    if device.type == "cuda":
        yield full_memory(device)


def training_cases(sizes: Sizes, work: Path) -> list:
    """Return phantoms as training reads them."""
    from benchmarks.material import prepare
    from benchmarks.trainings import open_cases
    from data.cases import find_cases
    from data.phantom import write_phantoms

    raw = work / "phantoms"
    spacing_mm = tuple(extent / count for extent, count in zip((130, 180, 225), sizes.phantom))
    write_phantoms(raw, 3, shape=sizes.phantom, spacing_mm=spacing_mm)
    data = prepare(sorted(raw.iterdir()), work)
    return open_cases(find_cases(data, "train"), work / "cache")


def body_in_air(shape: tuple[int, int, int]):
    """Return a volume (1, z, y, x) with noise in its middle half along every axis but z."""
    import numpy as np

    volume = np.full((1, *shape), _AIR, np.float32)
    box = (slice(None), slice(None), *(slice(side // 6, side - side // 6) for side in shape[1:]))
    volume[box] = np.random.default_rng(0).normal(size=volume[box].shape)
    return volume


def predictor(name: str, device, sizes: Sizes, precision: str = "fp32", is_compiled: bool = False) -> Callable:
    """Return the prediction of whole volumes with an untrained network on a device."""
    from benchmarks.networks_at_hand import untrained_network
    from networks import find_architecture
    from utils.inference.torch_networks import TorchNetwork
    from utils.inference.volumes import predictor_of

    side = sizes.samples[find_architecture(name).dimensions]
    network, described = untrained_network(name, CLASSES, sizes.features, side)
    return predictor_of(TorchNetwork(network, device, CLASSES, precision, is_compiled), described)


def differences(name: str, device, sizes: Sizes) -> Iterator[Row]:
    """Compare predictions with those of the CPU: probabilities in fp32, labels in bf16."""
    import numpy as np
    import torch

    volume = body_in_air(sizes.compared)
    expected = predictor(name, torch.device("cpu"), sizes)(volume, [_AIR])
    found = predictor(name, device, sizes)(volume, [_AIR])
    largest = float(np.abs(found - expected).max())
    yield Row.absolute(f"{name}, largest difference of probabilities, fp32", largest, 1e-4, "")
    half = predictor(name, device, sizes, "bf16")(volume, [_AIR]).argmax(axis=0)
    labels = expected.argmax(axis=0)
    sizes_of_both = [((labels == number).sum(), (half == number).sum()) for number in range(CLASSES)]
    shared = [(labels == number) & (half == number) for number in range(CLASSES)]
    dices = [2 * both.sum() / (one + other) for both, (one, other) in zip(shared, sizes_of_both) if one + other]
    yield Row.absolute(f"{name}, 1 - Dice of the labels in bf16", 1 - float(np.mean(dices)), 0.02, "")


def training(name: str, device, sizes: Sizes, cases: list) -> Iterator[Row]:
    """Time training steps with their batches against the bare step on one batch, and measure the memory."""
    import torch

    from benchmarks.trainings import block_of_steps, stream_of, training_of
    from networks import find_architecture
    from utils.training.trainer import OPTIMIZERS

    architecture = find_architecture(name)
    side, patches = sizes.samples[architecture.dimensions], sizes.batch[architecture.dimensions]
    field = architecture.receptive_field
    stream = stream_of(cases, name, field, side, patches, pinned=device.type == "cuda")
    trainer, loss = training_of(name, field, features=sizes.features, device=device)
    optimizer = OPTIMIZERS["Adam"](trainer.network.parameters(), lr=0.003)
    batch = stream.make(0).to(device)

    def bare() -> None:
        for _ in range(sizes.steps):
            optimizer.zero_grad()
            loss(trainer.network(batch.image), batch).backward()
            optimizer.step()
        wait_for(device)

    take_block = block_of_steps(trainer, stream, sizes.steps)

    def whole() -> None:
        take_block()
        wait_for(device)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    reference, value = side_by_side(bare, whole, sizes.repeats)
    ms = 1000 / sizes.steps
    title = f"{name}, training step, {patches} patches of {side}"
    yield Row(title, "bare step", value * ms, reference * ms, 1.05, "ms")
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        yield Row.absolute(f"{title}, memory", torch.cuda.max_memory_allocated(device) / 1e9, total / 1e9, "GB")


def whole_volume(name: str, device, sizes: Sizes) -> Row:
    """Time the prediction of a large volume against its forward passes alone."""
    from benchmarks.forward_passes import ForwardPasses

    volume = body_in_air(sizes.timed)
    predict = predictor(name, device, sizes)
    alone = ForwardPasses(lambda: predict(volume, [_AIR]))

    def passes() -> None:
        alone()
        wait_for(device)

    reference, value = side_by_side(passes, lambda: predict(volume, [_AIR]), sizes.repeats)
    shape = " × ".join(map(str, sizes.timed[::-1]))
    return Row(f"{name}, volume of {shape}", "forward passes alone", value, reference, 1.25, "s")


def compiled(device, sizes: Sizes) -> Row:
    """Time a U-Net compiled by PyTorch against the same without."""
    volume = body_in_air(sizes.timed)
    plain, fast = (predictor("UNet3D", device, sizes, is_compiled=value) for value in (False, True))
    times = side_by_side(lambda: plain(volume, [_AIR]), lambda: fast(volume, [_AIR]), sizes.repeats)
    return Row("UNet3D, the same volume, --compile", "without", times[1], times[0], 1.0, "s")


def full_memory(device) -> Row:
    """Check that a full memory is told as a problem with a remedy: 0 if it is, 1 if not."""
    import torch

    from utils.cli.command_line import problem_of_device

    free, _ = torch.cuda.mem_get_info(device)
    try:
        torch.empty(2 * free, dtype=torch.uint8, device=device)
        problem = ""
    except RuntimeError as error:
        problem = problem_of_device(error)
    print(f"a full device: {problem or 'no problem was told'}")
    return Row.absolute("a full device is told in one line (0), or not (1)", float(not problem), 0.0, "")


def wait_for(device) -> None:
    """Wait until the device has computed what it was given."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Networks on a GPU: as right as on the CPU, as fast as they can be.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="device (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="tiny networks and volumes, for a trial of this program")
    parser.add_argument(
        "--work",
        type=Path,
        default=WORK_FOLDER / "gpu",
        metavar="FOLDER",
        help="folder for outputs (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table to this file")
    args = parser.parse_args(arguments)
    check_machine(args.device)
    rows = []
    for row in measure(args.device, TINY if args.tiny else FULL, args.work):
        print(f"{row.name}: {row.value:.4g} {row.unit}", flush=True)
        rows.append(row)
    report("gpu", rows, args.json)


if __name__ == "__main__":
    main()
