"""UNet3D in windows, beside MONAI's sliding window inference: time and memory."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from data.cases import find_cases
from data.intensities import Normalization
from networks import find_architecture
from utils.inference import predictor_of

WINDOW, OVERLAP = 64, 0.5
FEATURES, CLASSES = 8, 3
NORMALIZATION = Normalization("ct", (-60.0, 300.0), 100.0, 75.0)
REPEATS = 3


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    data = prepared_cases(data_folder, work_folder)
    ours, theirs, shape = _ways(data)
    # MONAI lifts small weights to a thousandth: near the volume's borders, where all are small, that is another mean.
    inside = (slice(None), *[slice(WINDOW // 4, -WINDOW // 4)] * 3)
    np.testing.assert_allclose(np.abs(ours() - theirs())[inside].mean(), 0, atol=1e-2)
    name = f"UNet3D, windows of {WINDOW}, volume of {' × '.join(str(side) for side in shape[::-1])}"
    rows = [Row(name, "MONAI sliding_window_inference", *side_by_side(ours, theirs, REPEATS), 0.9, "s")]
    peaks = [_peak_bytes(data, number) / 1e6 for number in (0, 1)]
    rows.append(Row(f"{name}, peak memory", "MONAI sliding_window_inference", *peaks, 0.6, "MB"))
    return rows


def _ways(data: Path) -> tuple[Callable, Callable, tuple[int, ...]]:
    """Our way and MONAI's to predict a case with the same network, and the shape of the case."""
    from monai.inferers import sliding_window_inference

    case = min(find_cases(data, "train"), key=lambda case: case.grid.size[2])
    stride = int(WINDOW * (1 - OVERLAP))
    even = tuple(slice(0, side // stride * stride) for side in case.grid.shape)  # where both place the same windows
    volume, outside = NORMALIZATION.apply(case.resampled_image()[even])
    torch.manual_seed(0)
    architecture = find_architecture("UNet3D")
    network = architecture.build(architecture.receptive_field, CLASSES, features=FEATURES).eval()
    predict = predictor_of(
        network,
        torch.device("cpu"),
        dimensions=3,
        pads=True,
        fixed_size=True,
        planes=(),
        window=WINDOW,
        number_of_classes=CLASSES,
        overlap=OVERLAP,
    )

    @torch.inference_mode()
    def theirs() -> np.ndarray:
        probabilities = sliding_window_inference(
            torch.from_numpy(volume)[None, None],
            WINDOW,
            sw_batch_size=1,
            predictor=lambda windows: network(windows).softmax(dim=1),
            overlap=OVERLAP,
            mode="gaussian",
            cval=outside,
        )
        return probabilities[0].numpy()

    return lambda: predict(volume, outside), theirs, volume.shape


def _peak_bytes(data: Path, number: int) -> int:
    """The most memory that a way takes beyond what is there before it begins, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (data, number))


def _measure(data: Path, number: int) -> int:
    way = _ways(data)[number]
    Path("/proc/self/clear_refs").write_text("5")  # from here on the kernel looks for the peak anew
    before = _status("VmRSS")
    way()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def main() -> None:
    run_alone("windows", run)


if __name__ == "__main__":
    main()
