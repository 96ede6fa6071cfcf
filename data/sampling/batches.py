"""Batches as tensors, prepared in the background while the network processes the previous batch."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from data.sampling.augmentation import apply_augmentation
from data.sampling.patches import Batch, PatchSampler
from data.soft_labels import DEVIATION_UNITS, MEAN_UNITS


@dataclass(frozen=True)
class TensorBatch:
    """A training batch. Patches have two or three axes.

    Attributes:
        image: float32 (n, channels, input, ...).
        reference: int64 (n, sample, ...) class indices, with `IGNORED`.
        soft: float32 (n, classes, sample, ...) that sums to 1, or to 0 where it is unknown; or None.
        deviation: float32 (n, sample, ...), the ensemble's standard deviation; or None.
    """

    image: torch.Tensor
    reference: torch.Tensor
    soft: torch.Tensor | None = None
    deviation: torch.Tensor | None = None

    def to(self, device: torch.device) -> "TensorBatch":
        """Copy the batch to a device; a pinned batch is copied asynchronously."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "TensorBatch":
        """Copy the batch to pinned (page-locked) memory, for asynchronous copies to CUDA devices."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "TensorBatch":
        tensors = (self.image, self.reference, self.soft, self.deviation)
        return TensorBatch(*(None if tensor is None else function(tensor) for tensor in tensors))


def to_tensors(batch: Batch, input_size: int, sample_size: int) -> TensorBatch:
    """Apply the augmentation to a batch of arrays and convert it to tensors."""
    image, reference, soft, deviation = batch.image, batch.reference, None, None
    if batch.soft is not None:
        soft = batch.soft.astype(np.float32)
        soft /= MEAN_UNITS
    if batch.deviation is not None:  # transformed together with the soft labels, as an additional channel
        deviation = batch.deviation[:, None].astype(np.float32)
        deviation /= DEVIATION_UNITS
        soft = np.concatenate([soft, deviation], axis=1)
    if batch.augmentation is not None:
        image, reference, soft = apply_augmentation(batch.augmentation, image, reference, soft, input_size, sample_size)
    if soft is not None:
        classes = soft[:, :-1] if batch.deviation is not None else soft
        total = classes.sum(axis=1, keepdims=True)
        # Voxels that are mostly outside the image count as outside; of the others, what lies outside does not count.
        known = np.divide(soft, total, out=np.zeros_like(soft), where=total > 0.5)
        soft = torch.from_numpy(known[:, : classes.shape[1]])
        deviation = torch.from_numpy(known[:, -1]) if batch.deviation is not None else None
    return TensorBatch(torch.from_numpy(image), torch.from_numpy(reference).long(), soft, deviation)


class BatchStream:
    """Batches of one sampler, prepared in a background thread.

    Args:
        rank, count: rank of this process and number of processes that share each batch.
        pinned: use pinned memory, for a CUDA device.
    """

    def __init__(self, sampler: PatchSampler, rank: int = 0, count: int = 1, pinned: bool = False):
        self._sampler = sampler
        self._share = (rank, count)
        self._pinned = pinned

    def make(self, number: int) -> TensorBatch:
        options = self._sampler.options
        batch = to_tensors(self._sampler.batch(number, *self._share), options.input_size, options.sample_size)
        return batch.pinned() if self._pinned else batch

    def numbered(self, first: int, end: int, ahead: int = 2) -> Iterator[TensorBatch]:
        """Yield batches `first` to `end` - 1 in order, `ahead` of them in preparation."""
        # PyTorch uses one core in the background thread and leaves the others to the network. PyTorch initializes a
        # thread at its first call there, with the number that was set last: this call initializes this thread before.
        torch.get_num_threads()
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
            pending = [thread.submit(self.make, number) for number in range(first, min(first + ahead, end))]
            try:
                for number in range(first, end):
                    batch = pending.pop(0).result()
                    if number + ahead < end:
                        pending.append(thread.submit(self.make, number + ahead))
                    yield batch
            finally:
                thread.shutdown(cancel_futures=True)
