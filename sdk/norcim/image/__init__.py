"""Build, read and check the weight image (`.cim`)."""

from __future__ import annotations

from norcim.image.build import build_image
from norcim.image.check import check_program
from norcim.image.files import write_file
from norcim.image.model import ImageContent
from norcim.image.needs import count_sectors, memory_needs, port_bytes
from norcim.image.networks import find_network, join_networks, network_names, networks
from norcim.image.placement import check_placement
from norcim.image.read import SectionInfo, describe_image, looks_like_image, read_header, read_image

__all__ = [
    "ImageContent",
    "SectionInfo",
    "build_image",
    "check_placement",
    "check_program",
    "count_sectors",
    "describe_image",
    "find_network",
    "join_networks",
    "looks_like_image",
    "memory_needs",
    "network_names",
    "networks",
    "port_bytes",
    "read_header",
    "read_image",
    "write_file",
]
