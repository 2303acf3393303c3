"""What a chip is: the values of its chip file, typed."""

from __future__ import annotations

from dataclasses import dataclass

from norcim.spec.program import Rule, Stage


@dataclass(frozen=True)
class Region:
    """Wordlines that a tile may not straddle: rows first .. first + n_rows - 1."""

    first: int
    n_rows: int


@dataclass(frozen=True)
class Arrays:
    """The crossbar arrays, all of one kind."""

    count: int
    n_rows: int
    n_columns: int
    regions: tuple[Region, ...]
    reserved_columns: int  # leading bitlines that no tile may use
    n_bias_rows: int  # wordlines driven with 128, beside the n_rows
    cell_lo: int
    cell_hi: int
    signed_rows: bool  # the wordline driver takes int8 (else uint8 only)


@dataclass(frozen=True)
class Converter:
    """The ADC at the columns' ends."""

    rule: Rule
    bits: int
    gain_lo: int  # log2 of the smallest divisor
    gain_hi: int
    gain_scope: str  # "tile" or "layer"


@dataclass(frozen=True)
class Memories:
    """Bytes, but for descriptors, tiles, columns and tables, which are counted."""

    activation_bytes: int
    weight_bytes: int  # cells with their bias rows and vector weights, together
    vector_weight_bytes: int  # vector weights alone
    n_descriptors: int
    n_tiles: int
    n_columns: int
    n_tables: int
    record_bytes: int = 0  # of one memory that the four of them share; 0: each has its own

    def limits(self) -> dict[str, int]:
        """What an image may need of each, by the names of `norcim.image.memory_needs`."""
        return {name: most for name, most in vars(self).items() if name != "record_bytes" or most}


@dataclass(frozen=True)
class Timing:
    """For the latency estimate."""

    clock_hz: float
    lanes: int  # MACs per cycle of an MVM where there are no converters
    vector_lanes: int  # MACs or steps per cycle of the vector path
    n_converters: int  # columns digitised at once
    cycles_per_conversion: int
    descriptor_cycles: int  # fetch and set-up of one descriptor


@dataclass(frozen=True)
class Energy:
    """For the energy estimate, joules unless said."""

    conversion_j: float
    row_power_w: float  # DAC and driver of one active wordline
    cell_current_a: float  # mean current of a cell
    bitline_v: float
    vector_op_j: float
    sram_byte_j: float
    mac_j: float  # digital MAC (digital chips and vector path)
    static_w: float


@dataclass(frozen=True)
class About:
    """What kind of chip it is, in the words of the schema."""

    memory: str
    domain: str
    role: str  # "network": networks compile and run; "estimate": peak figures only


@dataclass(frozen=True)
class Published:
    """Peak figures of the maker; 0 where there is none."""

    tops: float
    tops_per_w: float
    power_w: float
    note: str


@dataclass(frozen=True)
class Cells:
    """What is wrong with the cells and the converters of an analog chip; docs/cells.md.

    Weight errors are in weight codes, converter errors in steps of its code (LSB); 0 is ideal.
    """

    kind: str
    program_slope: float
    program_floor: float
    zero_is_off: bool
    verify_tolerance: float
    verify_pulses: int
    pulse_sigma: float
    read_slope: float
    read_floor: float
    rtn_probability: float
    rtn_amplitude: float
    drift_v_per_decade: float
    drift_spread: float
    drift_tau_s: float
    activation_ev: float
    swing: float
    drift_nu: float
    drift_nu_spread: float
    temperature_slope: float
    temperature_gain: float
    wire_ohm: float
    ir_limit: float
    converter_offset: float
    converter_gain: float
    converter_gain_spread: float
    converter_inl: float
    converter_noise: float
    stuck_off: float
    stuck_on: float
    dead_columns: float
    leading_columns: int
    leading_factor: float
    spare_columns: int
    refine_gain: float
    refine_sigma: float
    endurance_cycles: float


@dataclass(frozen=True)
class Chip:
    """A chip, from its TOML file.

    sources maps a dotted key (`arrays.n_rows`) to where its value comes from, or to ASSUMED.
    """

    name: str
    title: str
    arrays: Arrays
    converter: Converter
    stage: Stage
    vector_ops: frozenset[str]  # of: dwconv add mul maxpool avgpool table copy
    memories: Memories
    timing: Timing
    energy: Energy
    about: About
    published: Published
    cells: Cells
    sources: dict[str, str]
    fingerprint: str  # SHA-256 of the values that an image is bound to, hex; not of UNBINDING

    @property
    def n_cells(self) -> int:
        """Cells that tiles may use, over all arrays."""
        a = self.arrays
        return a.count * a.n_rows * (a.n_columns - a.reserved_columns)
