"""Integer log-mel front end: 16-bit audio in, uint8 feature codes out.

Every step is defined on integers, so firmware reproduces the same bits.
Specification: docs/reference/audio-front-end.md.
"""

from norcim.audio.config import LogMelConfig
from norcim.audio.log_mel import LogMelStream, log_mel
from norcim.audio.tables import LogMelTables, build_tables
from norcim.audio.wav import read_wav

__all__ = [
    "LogMelConfig",
    "LogMelStream",
    "LogMelTables",
    "build_tables",
    "log_mel",
    "read_wav",
]
