"""The Muon optimizer."""

import torch
from torch import nn

from deepclarity.models.train.optimizers import Muon, orthogonalise


def test_orthogonalised_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 16, 16), (2, 8, 72), (2, 40, 10)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_kernels_of_same_shape_are_updated_independently():
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 8, 8, 3, 3), torch.randn(3, 8, 8, 3, 3)

    def updated(chosen: list[int]) -> list[torch.Tensor]:
        kernels = [nn.Parameter(start[i].clone()) for i in chosen]
        optimiser = Muon(kernels, lr=0.1)
        for kernel, i in zip(kernels, chosen, strict=True):
            kernel.grad = gradients[i].clone()
        optimiser.step()
        return [kernel.detach() for kernel in kernels]

    together, alone = updated([0, 1, 2]), updated([1])
    torch.testing.assert_close(together[1], alone[0])


def test_muon_converges_to_target_matrix():
    torch.manual_seed(0)
    target, kernel = torch.randn(12, 12), nn.Parameter(torch.zeros(12, 12))
    optimiser = Muon([kernel], lr=0.05)
    first = (kernel - target).square().mean().item()
    for _ in range(200):
        loss = (kernel - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * first


def test_update_does_not_depend_on_gradient_scale():
    updates = []
    for scale in (1.0, 1000.0):
        kernel = nn.Parameter(torch.zeros(6, 6))
        kernel.grad = scale * torch.arange(36.0).reshape(6, 6).sin()
        Muon([kernel], lr=0.1).step()
        updates.append(kernel.detach())
    torch.testing.assert_close(updates[0], updates[1], atol=1e-4, rtol=1e-3)
