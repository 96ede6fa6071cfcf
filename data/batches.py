"""Batches as tensors, made in the background while the network works on the one before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from data.augmentation import apply_augmentation
from data.patches import Batch, PatchSampler
from data.soft_labels import DEVIATION_UNITS, MEAN_UNITS


@dataclass(frozen=True)
class TensorBatch:
    """What a network is trained on. Patches have two axes or three.

    Attributes:
        image: float32 (n, 1, input, ...).
        reference: int64 (n, sample, ...) class indices, with `IGNORED`.
        soft: float32 (n, classes, sample, ...) summing to 1, or to 0 where nothing is known; or None.
        deviation: float32 (n, sample, ...), the ensemble's standard deviation; or None.
    """

    image: torch.Tensor
    reference: torch.Tensor
    soft: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def to(self, device: torch.device) -> "TensorBatch":
        tensors = (self.image, self.reference, self.soft, self.deviation)
        return TensorBatch(*(None if tensor is None else tensor.to(device) for tensor in tensors))


def to_tensors(batch: Batch, input_size: int, sample_size: int) -> TensorBatch:
    """Turn arrays into tensors, transformed as drawn."""
    image, reference = torch.from_numpy(batch.image), torch.from_numpy(batch.reference)
    soft = None if batch.soft is None else torch.from_numpy(batch.soft).float().div_(MEAN_UNITS)
    if batch.deviation is not None:  # travels with the soft labels, as one channel more
        deviation = torch.from_numpy(batch.deviation).float().div_(DEVIATION_UNITS)
        soft = torch.cat([soft, deviation[:, None]], dim=1)
    if batch.draw is not None:
        image, reference, soft = apply_augmentation(batch.draw, image, reference, soft, input_size, sample_size)
    deviation = None
    if batch.deviation is not None:
        soft, deviation = soft[:, :-1], soft[:, -1]
    if soft is not None:
        total = soft.sum(dim=1, keepdim=True)
        soft = torch.where(total > 0.5, soft / total, 0.0)  # voxels that lie mostly outside the image are outside
    return TensorBatch(image[:, None], reference.long(), soft, deviation)


class BatchStream:
    """The batches of one sampler, the next ones prepared in a thread."""

    def __init__(self, sampler: PatchSampler):
        self._sampler = sampler

    def make(self, number: int) -> TensorBatch:
        options = self._sampler.options
        return to_tensors(self._sampler.batch(number), options.input_size, options.sample_size)

    def numbered(self, first: int, end: int, ahead: int = 2) -> Iterator[TensorBatch]:
        """Yield batches `first` to `end` - 1 in order, `ahead` of them in preparation."""
        with ThreadPoolExecutor(1) as thread:
            pending = [thread.submit(self.make, number) for number in range(first, min(first + ahead, end))]
            try:
                for number in range(first, end):
                    batch = pending.pop(0).result()
                    if number + ahead < end:
                        pending.append(thread.submit(self.make, number + ahead))
                    yield batch
            finally:
                thread.shutdown(cancel_futures=True)
