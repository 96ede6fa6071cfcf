"""Sums and statistics over a batch of which each process holds a share, with their gradients.

Every process computes the same loss of the whole batch, from sums over all processes. What autograd then computes in a
process is the gradient, with respect to its copy of the weights, of the sum of the losses of all processes: going back
through a sum, the gradients of all processes are summed. That is `count` times the loss's share of that copy, and
DistributedDataParallel, which takes the mean over the processes, makes it the gradient of the one loss.
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
    """The sum of the `values` of all processes, in each of them; of one alone, what it is given."""
    return _SumOverProcesses.apply(values) if distributed.is_initialized() else values


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalization (Ioffe and Szegedy, 2015) over the shares of all processes: PyTorch has it for CUDA alone.

    Its parameters, buffers and answers in evaluation are those of the normalization that it takes the place of.
    """

    def __init__(self, replaced: nn.modules.batchnorm._BatchNorm):
        super().__init__(replaced.num_features, replaced.eps, replaced.momentum)
        self._parameters, self._buffers = replaced._parameters, replaced._buffers

    def _check_input_dim(self, values: torch.Tensor) -> None:
        """Any number of axes will do."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalize `values` (n, channels, sides...)."""
        if not self.training:
            return super().forward(values)
        columns = (1, -1, *[1] * (values.ndim - 2))
        variance, mean = torch.var_mean(values.to(self.weight), (0, *range(2, values.ndim)), correction=0)
        # In double precision: the variance is a small difference of second moments.
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
    """`network` with its batch normalizations over all processes; the names of its weights stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, GlobalBatchNorm(child))
    return network
