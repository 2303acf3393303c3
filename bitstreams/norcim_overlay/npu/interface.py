"""Structs between the sequencer and the data path."""

from amaranth.hdl import signed
from amaranth.lib import data

from norcim_overlay.npu.drain import Parameters
from norcim_overlay.npu.mac_lanes import Factor
from norcim_overlay.npu.requantise import CODE_BITS


class Layout(data.Struct):
    """Where the image lies and how large its sections are; set before a run.

    program, tiles, columns, tables   word addresses in the record memory
    n_descriptors .. n_tables         how many of each there are
    n_activation_bytes, n_cell_bytes  accesses from there on are errors
    vector_weights, n_vector_bytes    the depthwise weights' place in the weight memory
    """

    program: 32
    tiles: 32
    columns: 32
    tables: 32
    n_descriptors: 16
    n_tiles: 32
    n_columns: 32
    n_tables: 16
    n_activation_bytes: 32
    n_cell_bytes: 32
    vector_weights: 32
    n_vector_bytes: 32


class Status(data.Struct):
    """State of the sequencer, as register STATUS has it; `descriptor` runs or has stopped."""

    busy: 1
    done: 1
    firmware: 1
    error: 8
    descriptor: 16


class Mode(data.Struct):
    """What stays the same during a descriptor; see MacLanes and Drain."""

    encoding: 4
    pad_code: 8
    zero_outside: 1
    broadcast: 1
    factor: Factor
    maximum: 1
    rule: 4
    bits: 5
    zero_point: signed(CODE_BITS)
    lo: signed(CODE_BITS)
    hi: signed(CODE_BITS)
    use_table: 1
    use_columns: 1
    shared: Parameters
