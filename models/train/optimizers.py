"""How weights move, whatever is trained: learning rate, clipped gradients, moving average."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

_CLIP = 0.5
"""Largest norm of a step's gradient: bfloat16 sometimes throws one far off."""


def warm_cosine(step: int, *, steps: int, warmup_steps: int) -> float:
    """The share of the learning rate: linear warm-up, then a cosine (Loshchilov & Hutter 2017) to zero."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    return warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def descend(
    optimisers: Sequence[torch.optim.Optimizer], network: nn.Module, loss: Tensor, share: float, *, clip: float = _CLIP
) -> None:
    """One step of every optimiser by `share` of its learning rate."""
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), clip)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] * share
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def follow(average: Mapping[str, Tensor], state: Mapping[str, Tensor], *, step: int, decay: float) -> None:
    """Move the average of floating point tensors towards `state`, and copy what counts."""
    # Early on the average must not cling to the random start.
    share = 1 - min(decay, (step + 1) / (step + 10))
    with torch.no_grad():
        smooth = [key for key, value in average.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[key] for key in smooth], [state[key] for key in smooth], share)
        for key in average.keys() - set(smooth):
            average[key].copy_(state[key])
