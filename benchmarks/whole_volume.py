"""Prediction of whole volumes with dil2D: against single slices, against the forward passes alone, with a clip."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

import testing_network
from benchmarks.forward_passes import ForwardPasses
from benchmarks.material import prepared_cases
from benchmarks.measure import Row, run_alone, side_by_side
from benchmarks.networks_at_hand import trained_network
from data.cases import find_cases
from data.intensities import normalize
from networks.weights import TrainedNetwork, load_weights
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import predictor_of

RECEPTIVE_FIELDS = (35, 131)
REPEATS = 3


def run(data_folder: Path | None, work_folder: Path) -> list[Row]:
    data = prepared_cases(data_folder, work_folder)
    return [row for receptive_field in RECEPTIVE_FIELDS for row in _rows(receptive_field, data, work_folder / "SAVE")]


def _rows(receptive_field: int, data: Path, save: Path) -> list[Row]:
    """Return the rows of one network."""
    (case,) = find_cases(data, "val")
    weights = trained_network(data, save, receptive_field)
    trained = load_weights(weights)
    images = case.resampled_images(trained.description.channels)
    volume, padding_values = normalize(list(images.values()), trained.description.normalizations)
    mask = case.resampled_reference() > 0
    network = TorchNetwork(trained.build(), torch.device("cpu"), trained.description.number_of_classes)
    predictor = predictor_of(network, trained.description)
    predict = partial(predictor, volume, padding_values)
    name = f"dil2D rf {receptive_field}, volume of {_size(case.grid.size)}"
    plain = partial(_slice_by_slice, trained, volume[0], padding_values[0])
    rows = [
        Row(f"{name}, planes", "each slice alone, default format", *side_by_side(predict, plain, REPEATS), 0.5, "s"),
        _stage_beside_network(receptive_field, "val", data, save, weights),
    ]
    if receptive_field == RECEPTIVE_FIELDS[0]:
        rows.append(_stage_beside_network(receptive_field, "test", data, save, weights))
        times = side_by_side(partial(predict, mask), predict, REPEATS)
        rows.append(Row(f"{name}, second stage with a clip", "over the whole volume", *times, 0.15, "s"))
    return rows


@torch.inference_mode()
def _slice_by_slice(trained: TrainedNetwork, volume: np.ndarray, padding_value: float) -> np.ndarray:
    """The plain way: pad, and put each slice of each plane through the network."""
    network, margin = trained.build(), trained.description.receptive_field // 2
    total = np.zeros((trained.description.number_of_classes, *volume.shape), np.float32)
    for axis in range(3):
        amounts = [(0, 0) if other == axis else (margin, margin) for other in range(3)]
        padded = np.pad(volume, amounts, constant_values=padding_value)
        for number, image in enumerate(np.moveaxis(padded, axis, 0)):
            logits = network(torch.from_numpy(np.ascontiguousarray(image))[None, None])
            np.moveaxis(total, axis + 1, 1)[:, number] += logits.softmax(dim=1)[0].numpy() / 3
    return total


def _stage_beside_network(receptive_field: int, split: str, data: Path, save: Path, weights: Path) -> Row:
    """Time stage 3 for the case of a split, from options to tables, against the forward passes alone."""
    (case,) = find_cases(data, split)
    options = ["-d", data, "-s", save, "-e", split, "-r", weights.parent.name, "--network-weights", weights]
    words = [*map(str, options), "--overwrite"]

    def stage() -> None:
        testing_network.main(testing_network.build_parser().parse_args(words))

    times = side_by_side(stage, ForwardPasses(stage), REPEATS)
    name = f"testing_network.py, dil2D rf {receptive_field}, scan of {_size(case.original_grid.size)}"
    return Row(name, "forward passes alone", *times, 1.25, "s")


def _size(sides: Sequence[int]) -> str:
    return " × ".join(str(side) for side in sides)


def main() -> None:
    run_alone("whole volumes", run)


if __name__ == "__main__":
    main()
