"""What the host has to know of a board's loaded image: the ports of each of its networks."""

from __future__ import annotations

from dataclasses import dataclass

from norcim.image.needs import port_bytes
from norcim.image.networks import first_descriptors
from norcim.image.records import decode_records
from norcim.spec.image_format import MAX_ACTIVATION_BYTES, MAX_PORTS
from norcim.spec.program import PORT_WORDS, Port
from norcim.transport.link import nonsense


@dataclass(frozen=True)
class LoadedNetwork:
    """A network as the board's requests name it.

    first         number of its first descriptor
    end           that of the next network's; None: it is the last
    input_at      offset of its first input byte among those of all input ports
    output_at     the same of outputs
    input_sizes   bytes of each input port
    output_sizes  bytes of each output port
    """

    first: int
    end: int | None
    input_at: int
    output_at: int
    input_sizes: tuple[int, ...]
    output_sizes: tuple[int, ...]


def read_networks(raw: bytes, url: str) -> tuple[LoadedNetwork, ...]:
    """The networks of an image from its section PORTS.

    url  where it came from, for errors: NC-E0634 if a port is larger than any memory, NC-E05xx
    """
    ports = decode_records(Port, raw, PORT_WORDS, "PORTS", MAX_PORTS)
    n_bytes = max((port_bytes(port) for port in ports), default=0)
    if n_bytes > MAX_ACTIVATION_BYTES:
        raise nonsense(url, f"a port of {n_bytes} bytes")
    firsts = first_descriptors(ports) or (0,)
    found, input_at, output_at = [], 0, 0
    for first, end in zip(firsts, (*firsts[1:], None), strict=True):
        inputs, outputs = (
            tuple(port_bytes(p) for p in ports if (p.first, p.is_output) == (first, is_output))
            for is_output in (0, 1)
        )
        found.append(LoadedNetwork(first, end, input_at, output_at, inputs, outputs))
        input_at, output_at = input_at + sum(inputs), output_at + sum(outputs)
    return tuple(found)
