"""Sums and batch statistics over a batch that is shared between processes, with their gradients.

Every process computes the same loss of the whole batch, from sums over all processes. The backward pass of such a sum
sums the gradients of all processes. Autograd therefore computes, in each process, the gradient of the sum of all
processes' (equal) losses with respect to its own copy of the weights: `count` times the contribution of its share of
the batch. DistributedDataParallel averages this over the `count` processes, which gives the gradient of the loss.
"""

import torch
from torch import distributed, nn


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(context, values: torch.Tensor) -> torch.Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> torch.Tensor:
        return _SumOverProcesses.apply(gradient)


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of the `values` of all processes; in a single process, `values` themselves."""
    return _SumOverProcesses.apply(values) if distributed.is_initialized() else values


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalization (Ioffe and Szegedy, 2015) over the shares of all processes, on the CPU.

    PyTorch's SyncBatchNorm supports CUDA only. Parameters, buffers and outputs in evaluation mode are those of the
    replaced layer.
    """

    def __init__(self, replaced: nn.modules.batchnorm._BatchNorm):
        super().__init__(replaced.num_features, replaced.eps, replaced.momentum)
        self._parameters, self._buffers = replaced._parameters, replaced._buffers

    def _check_input_dim(self, values: torch.Tensor) -> None:
        """Accept any number of axes."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalize `values` (n, channels, sides...)."""
        if not self.training:
            return super().forward(values)
        columns = (1, -1, *[1] * (values.ndim - 2))
        variance, mean = torch.var_mean(values.to(self.weight), (0, *range(2, values.ndim)), correction=0)
        # In double precision, as the variance is a small difference of second moments.
        variance, mean = variance.double(), mean.double()
        voxels = torch.full_like(mean, values.numel() / values.shape[1])
        moments = torch.stack([voxels, voxels * mean, voxels * (variance + mean.square())])
        voxels, sums, squares = sum_over_processes(moments)
        mean = sums / voxels
        variance = (squares / voxels - mean.square()).clamp(min=0)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_((variance * voxels / (voxels - 1)).to(self.running_var), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps).to(self.weight)
        normalized = (values - mean.to(self.weight).view(columns)) * scale.view(columns)
        return (normalized + self.bias.view(columns)).to(values.dtype)


def synchronize_normalization(network: nn.Module, device: torch.device) -> nn.Module:
    """Replace batch normalizations of `network` by ones over all processes; the names of its weights stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, GlobalBatchNorm(child))
    return network
