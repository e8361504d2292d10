"""Optimizer steps, learning-rate schedule, gradient clipping, EMA of the weights; and the Muon optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

_MAX_GRADIENT_NORM = 0.5
"""bfloat16 occasionally produces a gradient that is far too large."""

_MOMENTUM = 0.95
_NEWTON_SCHULZ_STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of Muon's Newton-Schulz iteration, as its authors chose them: fast, and close enough to orthogonal."""


def warmup_cosine(step: int, *, steps: int, warmup_steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then cosine decay (Loshchilov & Hutter 2017) to zero."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    return warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def optimizer_step(
    optimisers: Sequence[torch.optim.Optimizer],
    network: nn.Module,
    loss: Tensor,
    lr_factor: float,
    *,
    max_norm: float = _MAX_GRADIENT_NORM,
) -> None:
    """Backpropagate `loss`, clip the gradients of `network` to `max_norm`, and take one step of every optimiser.

    `lr_factor` scales each optimiser's own learning rate.
    """
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), max_norm)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] * lr_factor
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def update_ema(average: Mapping[str, Tensor], state: Mapping[str, Tensor], *, step: int, decay: float) -> None:
    """Update the exponential moving average of `state` in place; integer tensors, which are counters, are copied."""
    # Early in training a lower decay lets the average leave the random initial weights.
    weight = 1 - min(decay, (step + 1) / (step + 10))
    with torch.no_grad():
        smooth = [key for key, value in average.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[key] for key in smooth], [state[key] for key in smooth], weight)
        for key in average.keys() - set(smooth):
            average[key].copy_(state[key])


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024): Nesterov momentum whose every update is orthogonalised.

    For kernels that mix channels: kernels (out, in, …) are treated as matrices (out, in · …), and those of equal shape
    are processed together. It learns faster than Adam at first (after 2,500 steps `separable` 6x32 was 0.25 dB ahead on
    validation photos, `turbo` 0.1 dB), but refines worse: from weights trained for 24,000 steps with Adam, 14,000 steps
    of Muon ended 0.1 dB lower. Suitable for short runs and for the beginning of long ones.
    """

    def __init__(self, kernels: Iterable[nn.Parameter], *, lr: float) -> None:
        super().__init__(kernels, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every kernel that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = {}
            for kernel in group["params"]:
                if kernel.grad is not None:
                    by_shape.setdefault((kernel.shape[0], kernel[0].numel()), []).append(kernel)
            for (rows, columns), kernels in by_shape.items():
                momentum = torch.stack([self._nesterov(kernel).reshape(rows, columns) for kernel in kernels])
                updates = orthogonalise(momentum) * max(1.0, rows / columns) ** 0.5
                for kernel, update in zip(kernels, updates, strict=True):
                    kernel.add_(update.reshape(kernel.shape), alpha=-group["lr"])

    def _nesterov(self, kernel: nn.Parameter) -> Tensor:
        """Update the momentum with the gradient; returns the gradient plus the momentum (Nesterov)."""
        assert kernel.grad is not None
        state = self.state[kernel]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(kernel)
        momentum: Tensor = state["momentum"].mul_(_MOMENTUM).add_(kernel.grad)
        return kernel.grad + _MOMENTUM * momentum


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate the nearest orthogonal matrices: all singular values of (n, rows, columns) come close to 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-9)
    x = x.transpose(1, 2) if tall else x
    for _ in range(_NEWTON_SCHULZ_STEPS):
        square = x @ x.transpose(1, 2)
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.transpose(1, 2) if tall else x  # type: ignore[no-any-return]
