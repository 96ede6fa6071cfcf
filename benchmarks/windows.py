"""Sliding window inference of UNet3D, against MONAI's: time for a small case, memory for a large case."""

import math
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from base.channels import UNNAMED
from base.intensity_records import Normalization
from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from benchmarks.networks_at_hand import untrained_network
from data.case_folder import SPLITS
from data.cases import Case, find_cases
from data.intensities import normalize
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import InferenceOptions, predictor_of

WINDOW, OVERLAP = 64, 0.5
FEATURES, CLASSES = 8, 3
NORMALIZATION = Normalization("ct", (-60.0, 300.0), 100.0, 75.0)
AT_ONCE = (4, 1)  # window batch sizes of MONAI: that of its tutorials, and the smallest
REPEATS = 3


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    data = prepared_cases(data_folder, work_folder)
    cases = sorted(
        (case for split in SPLITS for case in find_cases(data, split)), key=lambda case: math.prod(case.grid.size)
    )
    return [_time(cases[0], at_once) for at_once in AT_ONCE] + _memory(cases[-1])


def _time(case: Case, at_once: int) -> Row:
    """Time both implementations, after a check that they agree."""
    ours, theirs, shape = _implementations(case, at_once)
    # MONAI raises small window weights to 0.001, which changes the mean near the borders, where all weights are small.
    inside = (slice(None), *[slice(WINDOW // 4, -WINDOW // 4)] * 3)
    np.testing.assert_allclose(np.abs(ours() - theirs())[inside].mean(), 0, atol=1e-2)
    return Row(_name(shape), _against(at_once), *side_by_side(ours, theirs, REPEATS), 0.9, "s")


def _memory(case: Case) -> list[Row]:
    """Measure the peak memory of both implementations."""
    ours, shape = _peak(case, AT_ONCE[0], 0)
    theirs = [_peak(case, at_once, 1)[0] for at_once in AT_ONCE]
    return [
        Row(f"{_name(shape)}, peak memory", _against(at_once), ours, peak, 0.6, "MB")
        for at_once, peak in zip(AT_ONCE, theirs)
    ]


def _name(shape: tuple[int, ...]) -> str:
    return f"UNet3D, windows of {WINDOW}, volume of {' × '.join(str(side) for side in shape[::-1])}"


def _against(at_once: int) -> str:
    return f"MONAI sliding_window_inference, {at_once} at once"


def _implementations(case: Case, at_once: int) -> tuple[Callable, Callable, tuple[int, ...]]:
    """Return our and MONAI's prediction of a case with the same network, and the shape of the volume."""
    from monai.inferers import sliding_window_inference

    stride = int(WINDOW * (1 - OVERLAP))
    even = tuple(slice(0, side // stride * stride) for side in case.grid.shape)  # where both place the same windows
    (image,) = case.resampled_images([UNNAMED]).values()
    volume, padding_values = normalize([image[even]], [NORMALIZATION])
    network, described = untrained_network("UNet3D", CLASSES, FEATURES, WINDOW)
    arrays = TorchNetwork(network, torch.device("cpu"), described.number_of_classes)
    predict = predictor_of(arrays, described, InferenceOptions(overlap=OVERLAP))

    @torch.inference_mode()
    def theirs() -> np.ndarray:
        probabilities = sliding_window_inference(
            torch.from_numpy(volume)[None],
            WINDOW,
            sw_batch_size=at_once,
            predictor=lambda windows: network(windows).softmax(dim=1),
            overlap=OVERLAP,
            mode="gaussian",
            cval=float(padding_values[0]),
        )
        return probabilities[0].numpy()

    return lambda: predict(volume, padding_values), theirs, volume.shape[1:]


def _peak(case: Case, at_once: int, number: int) -> tuple[float, tuple[int, ...]]:
    """Return the peak memory in MB that an implementation adds, in its own process, and the shape of the volume."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (case, at_once, number))


def _measure(case: Case, at_once: int, number: int) -> tuple[float, tuple[int, ...]]:
    *implementations, shape = _implementations(case, at_once)
    Path("/proc/self/clear_refs").write_text("5")  # resets the kernel's record of the peak
    before = _status("VmRSS")
    implementations[number]()
    return (_status("VmHWM") - before) / 1e6, shape


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def main() -> None:
    run_alone("windows", run)


if __name__ == "__main__":
    main()
