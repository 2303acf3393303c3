"""Several networks in one image: each is what it is alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from norcim.emulator import Emulator, reference
from norcim.errors import NorcimError
from norcim.image import (
    build_image,
    check_program,
    find_network,
    join_networks,
    network_names,
    networks,
    read_image,
)
from norcim.image.networks import at_address
from norcim.spec.program import Descriptor, Opcode
from tests.unit.image.sample import sample_content, second_content, two_networks


def test_each_runs_as_it_does_alone() -> None:
    both = read_image(build_image(two_networks()))
    codes = np.random.default_rng(3).integers(0, 256, (5, 4, 4, 2), np.uint8)
    for found, alone in zip(networks(both), (sample_content(), second_content()), strict=True):
        assert (found.kat_input, found.kat_output) == (alone.kat_input, alone.kat_output)
        assert (found.ports, found.meta) == (alone.ports, alone.meta)
        [got], [due] = Emulator(found).run([codes]), Emulator(alone).run([codes])
        assert np.array_equal(got, due)


def test_a_network_at_another_address_gives_the_same() -> None:
    moved = at_address(sample_content(), 40)
    check_program(moved)
    codes = np.random.default_rng(3).integers(0, 256, (5, 4, 4, 2), np.uint8)
    [got], [due] = Emulator(moved).run([codes]), Emulator(sample_content()).run([codes])
    assert np.array_equal(got, due)
    memory = np.zeros((1, moved.activation_bytes), np.uint8)
    memory[0, 40:72] = codes[0].reshape(-1)
    for step in moved.program[:-1]:
        reference.execute(step, moved, memory)
    assert not memory[0, :40].any()
    assert np.array_equal(memory[0, 156:160], due[0].reshape(-1))


def test_the_two_differ() -> None:
    """Else the test above would prove nothing."""
    assert sample_content().kat_output != second_content().kat_output


def test_one_network_is_the_image_itself() -> None:
    content = sample_content()
    assert networks(content) == (content,)
    assert join_networks([content]) is content


def test_names_and_numbers() -> None:
    both = two_networks()
    assert network_names(both) == ("sample", "second")
    found = [find_network(both, name) for name in (None, "sample", "second", "1")]
    assert found == [0, 0, 1, 1]
    for name in ("third", "2", "-1", ""):
        with pytest.raises(NorcimError) as caught:
            find_network(both, name)
        assert caught.value.id == "NC-E0554"


def test_networks_without_metadata_go_by_number() -> None:
    assert network_names(replace(two_networks(), meta={})) == ("0", "1")
    assert network_names(replace(two_networks(), meta={"networks": [1, 2]})) == ("0", "1")


@pytest.mark.parametrize("first", [0, 8, 10, 17, 18, 65535])
def test_ports_of_a_network_that_does_not_begin_there(first: int) -> None:
    content = two_networks()
    ports = (*content.ports[:2], *(replace(port, first=first) for port in content.ports[2:]))
    _refused(replace(content, ports=ports), "NC-E0540")


def test_programs_without_ports_and_ports_out_of_order() -> None:
    content = two_networks()
    a, b, c, d = content.ports
    _refused(replace(content, ports=(a, b)), "NC-E0540")
    _refused(replace(content, ports=(c, d, a, b)), "NC-E0540")
    _refused(replace(content, ports=(a, c, b, d)), "NC-E0548")
    _refused(replace(content, ports=(a, b, d, c)), "NC-E0548")
    _refused(replace(content, ports=(a, b, c)), "NC-E0548")


def test_end_within_a_network() -> None:
    content = two_networks()
    program = list(content.program)
    program[4] = Descriptor(opcode=Opcode.END)
    _refused(replace(content, program=tuple(program)), "NC-E0540")


def _refused(content: object, id: str) -> None:
    with pytest.raises(NorcimError) as caught:
        build_image(content)  # type: ignore[arg-type]
    assert caught.value.id == id
