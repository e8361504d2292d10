import torch
from torch import nn

from deepclarity.models.train.muon import Muon, orthogonal


def test_singular_values_come_near_one_whatever_the_shape():
    torch.manual_seed(0)
    for shape in ((3, 16, 16), (2, 8, 72), (2, 40, 10)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_kernels_of_one_shape_do_not_see_each_other():
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 8, 8, 3, 3), torch.randn(3, 8, 8, 3, 3)

    def moved(chosen: list[int]) -> list[torch.Tensor]:
        kernels = [nn.Parameter(start[i].clone()) for i in chosen]
        optimiser = Muon(kernels, lr=0.1)
        for kernel, i in zip(kernels, chosen, strict=True):
            kernel.grad = gradients[i].clone()
        optimiser.step()
        return [kernel.detach() for kernel in kernels]

    together, alone = moved([0, 1, 2]), moved([1])
    torch.testing.assert_close(together[1], alone[0])


def test_it_finds_the_matrix_that_it_is_asked_for():
    torch.manual_seed(0)
    wanted, kernel = torch.randn(12, 12), nn.Parameter(torch.zeros(12, 12))
    optimiser = Muon([kernel], lr=0.05)
    first = (kernel - wanted).square().mean().item()
    for _ in range(200):
        loss = (kernel - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * first


def test_the_step_does_not_depend_on_the_gradients_size():
    steps = []
    for size in (1.0, 1000.0):
        kernel = nn.Parameter(torch.zeros(6, 6))
        kernel.grad = size * torch.arange(36.0).reshape(6, 6).sin()
        Muon([kernel], lr=0.1).step()
        steps.append(kernel.detach())
    torch.testing.assert_close(steps[0], steps[1], atol=1e-4, rtol=1e-3)
