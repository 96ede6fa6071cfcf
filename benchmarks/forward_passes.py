"""Forward passes of a network alone, recorded during prediction and repeated."""

from collections.abc import Callable
from unittest import mock

import torch

from utils.inference.torch_networks import ForwardPass


class ForwardPasses:
    """Records the forward passes of all networks while `predict` runs, and repeats them when called."""

    def __init__(self, predict: Callable[[], object]):
        self._calls = []
        classify = ForwardPass.__call__

        def recording(classifier, network, images, *rest):
            self._calls.append((network, torch.from_numpy(images.copy()).to(classifier.device), rest))
            return classify(classifier, network, images, *rest)

        with mock.patch.object(ForwardPass, "__call__", recording):
            predict()

    @torch.inference_mode()
    def __call__(self) -> None:
        """Repeat the forward passes with the same inputs."""
        for network, images, rest in self._calls:
            network(images, *rest)
