"""Muon (Jordan et al. 2024): momentum whose every step is made orthogonal before it is taken.

For kernels that mix channels. It learns faster than Adam at first (after 2,500 steps `separable` 6x32 was 0.25 dB
ahead on validation photos, `turbo` 0.1 dB), but refines worse: from weights that 24,000 steps of Adam had made, 14,000
of Muon ended 0.1 dB lower. Good for short runs and for the beginning of long ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_ROUNDS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Of the Newton-Schulz iteration, as its authors chose them: fast, and near enough to orthogonal."""


class Muon(torch.optim.Optimizer):
    """Kernels (out, in, …) are taken for matrices (out, in · …); those of equal shape are worked on together."""

    def __init__(self, kernels: Iterable[nn.Parameter], *, lr: float) -> None:
        super().__init__(kernels, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every kernel that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = {}
            for kernel in group["params"]:
                if kernel.grad is not None:
                    alike.setdefault((kernel.shape[0], kernel[0].numel()), []).append(kernel)
            for (rows, columns), kernels in alike.items():
                heading = torch.stack([self._heading(kernel).reshape(rows, columns) for kernel in kernels])
                turned = orthogonal(heading) * max(1.0, rows / columns) ** 0.5
                for kernel, move in zip(kernels, turned, strict=True):
                    kernel.add_(move.reshape(kernel.shape), alpha=-group["lr"])

    def _heading(self, kernel: nn.Parameter) -> Tensor:
        """Nesterov's momentum: the gradient, and where it has pointed so far."""
        assert kernel.grad is not None
        state = self.state[kernel]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(kernel)
        momentum: Tensor = state["momentum"].mul_(_MOMENTUM).add_(kernel.grad)
        return kernel.grad + _MOMENTUM * momentum


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: singular values of (n, rows, columns) all come near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-9)
    x = x.transpose(1, 2) if tall else x
    for _ in range(_ROUNDS):
        square = x @ x.transpose(1, 2)
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.transpose(1, 2) if tall else x  # type: ignore[no-any-return]
