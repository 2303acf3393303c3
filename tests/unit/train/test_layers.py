"""Layers that compute as a chip does: what they add, what passes back, what comes out again."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from norcim.chips import load_chip
from norcim.chips.model import Chip
from norcim.emulator.cells import CellModel, Compensation
from norcim.errors import NorcimError
from tests.unit.cells.population import chip_with

torch = pytest.importorskip("torch", reason="pip install 'norcim[train]'")

from torch import nn  # noqa: E402

from norcim.train import AwareLayer, make_aware, make_plain  # noqa: E402

PLAIN = Compensation(False, False, False, False, False)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 6 * 6, 5),
    )  # fmt: skip


def images(n: int = 16) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def aware(chip: Chip, treated: Compensation = PLAIN, copies: int = 1) -> nn.Module:
    model = CellModel.of(chip, compensation=treated)
    return make_aware(network(), chip, model, copies).train()


def test_an_ideal_chip_only_rounds() -> None:
    with torch.no_grad():
        exact = network()(images())
        error = aware(chip_with())(images()) - exact
    assert 0 < float(error.abs().max()) < 0.05 * float(exact.abs().max())


def test_layers_are_in_the_order_of_the_network() -> None:
    inner = nn.ModuleDict({"last": nn.Linear(3, 2)})
    inner["list"] = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
    chip = chip_with()
    made = make_aware(inner, chip, CellModel.of(chip), [1, 2, 3])
    order = [m._copies for m in made.modules() if isinstance(m, AwareLayer)]
    assert order == [1, 2, 3]


def test_evaluation_is_exact_and_the_layers_come_out_as_they_went_in() -> None:
    noisy, exact = aware(load_chip("wtm2101")), network()
    assert torch.equal(noisy.eval()(images()), exact(images()))
    assert sum(isinstance(m, AwareLayer) for m in noisy.modules()) == 3
    plain = make_plain(noisy)
    assert [type(m) for m in plain] == [type(m) for m in exact]
    assert torch.equal(plain[0].weight, exact[0].weight)


def test_every_call_sees_another_chip_and_a_seed_names_them() -> None:
    noisy = aware(load_chip("wtm2101"))
    again = copy.deepcopy(noisy)
    torch.manual_seed(3)
    first, second = noisy(images()), noisy(images())
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(again(images()), first)


def test_converter_noise_and_offset_are_in_codes() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 500)
    chip = chip_with(converter_noise=3.0, converter_offset=5.0)
    noisy = make_aware(nn.Sequential(layer), chip, CellModel.of(chip, compensation=PLAIN)).train()
    x = torch.rand(400, 64)
    with torch.no_grad():
        scales = noisy[0].scales(x)
        error = (noisy(x) - layer(x)).numpy()
    lsb = scales.lsb * scales.w_step * scales.x_step
    assert error.mean(axis=0).std() / lsb == pytest.approx(5, rel=0.15)
    assert error.std(axis=0).mean() / lsb == pytest.approx(3, rel=0.15)


def test_gradients_pass_and_stop_where_codes_saturate() -> None:
    noisy = aware(load_chip("wtm2101"))
    noisy(images()).square().sum().backward()
    for name, parameter in noisy.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().max() > 0
    first = noisy[0]

    def passed() -> float:
        noisy.zero_grad()
        first(images()).sum().backward()
        return float(first.inner.weight.grad.abs().sum())

    whole = passed()
    narrow = replace(first._chip.converter, gain_lo=0)
    first._chip = replace(first._chip, converter=narrow)
    first.sum_reach.fill_(1e-4)  # a range that hardly anything fits into
    assert passed() < 0.2 * whole


def test_scales_are_those_that_fit_the_chip() -> None:
    layer = nn.Linear(32, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    chip = chip_with()
    model = CellModel.of(chip, compensation=PLAIN)
    for copies, relu in ((1, False), (8, False), (1, True)):
        wrapped = make_aware(nn.Sequential(layer), chip, model, copies, relu).train()[0]
        with torch.no_grad():
            wrapped(torch.full((4, 32), 1000.0))  # every sum is 16,000
            found = wrapped.scales(torch.full((4, 32), 1000.0))
        assert found.x_step == pytest.approx(1000 / 255)
        assert (found.lo, found.hi) == ((0, 255) if relu else (-128, 127))
        # The divisor is a power of two; the weights fill their cells up to a factor of two, unless
        # copies would need a larger divisor than there is.
        assert found.lsb * copies in (256, 512, 1024, 2048, 4096, 8192)
        is_largest = found.lsb * copies == 2**chip.converter.gain_hi
        assert 63 < 0.5 / found.w_step <= 127 or (copies > 1 and is_largest)
        code = found.lsb * found.w_step * found.x_step
        assert code == pytest.approx(16_000 / found.hi, rel=1e-3)


def test_small_sums_need_copies() -> None:
    # The smallest divisor is 256: the 0.01 that is left of these weights' sum is few codes of it.
    layer = nn.Linear(64, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(0.5 * (-1.0) ** torch.arange(64)[None])
        layer.weight[0, 0] += 0.01
    chip = chip_with()
    model = CellModel.of(chip, compensation=PLAIN)
    x = torch.ones(4, 64)
    codes = {}
    for copies in (1, 16):
        wrapped = make_aware(nn.Sequential(copy.deepcopy(layer)), chip, model, copies).train()[0]
        with torch.no_grad():
            found = wrapped.scales(x)
        codes[copies] = 0.01 / (found.lsb * found.w_step * found.x_step)
    assert codes[1] < 4
    assert codes[16] == pytest.approx(16 * codes[1], rel=1e-3)


def test_calibration_takes_out_offsets_and_gains() -> None:
    chip = chip_with(program_floor=6.0, converter_offset=8.0, converter_gain=-0.3)
    exact = network()[0](images()).detach()

    def offset(treated: Compensation) -> float:
        with torch.no_grad():
            error = aware(chip, treated)[0](images()) - exact
        return float(error.mean((0, 2, 3)).abs().max())

    assert offset(Compensation(False, False, False, True, False)) < 0.1 * offset(PLAIN)


def test_layers_beside_the_array_stay_and_copies_must_fit() -> None:
    chip = load_chip("wtm2101")
    model = CellModel.of(chip)
    mixed = make_aware(network(), chip, model, [2, 0, 1])
    assert [isinstance(mixed[i], AwareLayer) for i in (0, 2, 5)] == [True, False, True]
    for bad in ({"copies": [1, 1]}, {"copies": -1}, {"relu": [True]}):
        with pytest.raises(NorcimError) as caught:
            make_aware(network(), chip, model, **bad)
        assert caught.value.id == "NC-E0915"
    reflecting = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(NorcimError) as caught:
        make_aware(reflecting, chip, model)
    assert caught.value.id == "NC-E0915"


def test_noise_grows_with_the_inputs_that_drive_it() -> None:
    chip = chip_with(read_floor=20.0, zero_is_off=False)
    layer = nn.Linear(64, 200)
    noisy = make_aware(nn.Sequential(layer), chip, CellModel.of(chip, compensation=PLAIN)).train()
    noisy(torch.ones(1, 64))  # sets the ranges
    with torch.no_grad():
        sigma = [
            np.std((noisy(torch.full((1, 64), x)) - layer(torch.full((1, 64), x))).numpy())
            for x in (0.25, 1.0)
        ]
    assert sigma[1] == pytest.approx(4 * sigma[0], rel=0.3)
