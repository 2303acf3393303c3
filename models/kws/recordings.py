"""Training clips: the FLAC pack of one file a class, or a full Speech Commands folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from norcim.audio import read_wav

LABELS = (
    "_silence_", "_unknown_", "yes", "no", "up", "down",
    "left", "right", "on", "off", "stop", "go",
)  # fmt: skip
RATE_HZ = 16000
CLIP_SAMPLES = 16000


@dataclass(frozen=True)
class Clips:
    """pcm int16 (n, CLIP_SAMPLES), label int64 (n,) into LABELS, speaker str (n,)."""

    pcm: np.ndarray
    label: np.ndarray
    speaker: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, where: np.ndarray) -> Clips:
        return Clips(self.pcm[where], self.label[where], self.speaker[where])


def join_clips(*parts: Clips) -> Clips:
    return Clips(
        np.concatenate([p.pcm for p in parts]),
        np.concatenate([p.label for p in parts]),
        np.concatenate([p.speaker for p in parts]),
    )


def load_training_clips(folder: Path) -> Clips:
    """Every clip of `folder` that may be trained on; test speakers are left out."""
    if (folder / "clips.json").exists():
        return _load_flac_pack(folder)
    if (folder / "testing_list.txt").exists():
        return _load_speech_commands(folder)
    raise SystemExit(
        f"{folder}: neither a FLAC pack (clips.json) nor Speech Commands (testing_list.txt)"
    )


def drop_tested(clips: Clips, test: Path) -> Clips:
    """The clips that share neither a speaker nor a recording with a test set.

    test   npz with `x` int16 (n, CLIP_SAMPLES) and `speaker` str (n,)
    """
    with np.load(test) as data:
        speakers = {str(speaker) for speaker in data["speaker"]}
        recordings = {pcm.tobytes() for pcm in data["x"]}
    known = [
        speaker in speakers or pcm.tobytes() in recordings
        for speaker, pcm in zip(clips.speaker, clips.pcm, strict=True)
    ]
    return clips.take(~np.array(known))


def split_by_speaker(clips: Clips, share: float, seed: int) -> tuple[Clips, Clips]:
    """Two parts without a common speaker; the second holds about `share` of them."""
    speakers = np.unique(clips.speaker)
    np.random.default_rng(seed).shuffle(speakers)
    held_out = np.isin(clips.speaker, speakers[: round(share * len(speakers))])
    return clips.take(~held_out), clips.take(held_out)


def _load_flac_pack(folder: Path) -> Clips:
    import soundfile

    parts = []
    for label, names in json.loads((folder / "clips.json").read_text())["clips"].items():
        pcm, rate_hz = soundfile.read(folder / f"{label}.flac", dtype="int16")
        if rate_hz != RATE_HZ or len(pcm) != len(names) * CLIP_SAMPLES:
            raise SystemExit(f"{folder / label}.flac does not match clips.json")
        parts.append(_label_clips(pcm.reshape(-1, CLIP_SAMPLES), label, names))
    return join_clips(*parts)


def _load_speech_commands(folder: Path) -> Clips:
    tested = set((folder / "testing_list.txt").read_text().split())
    parts = []
    for word in sorted(p for p in folder.iterdir() if p.is_dir()):
        if word.name.startswith("_"):
            continue
        files = [f for f in sorted(word.glob("*.wav")) if f"{word.name}/{f.name}" not in tested]
        pcm = np.stack([_fit(read_wav(f)) for f in files])
        parts.append(_label_clips(pcm, word.name, [f.name for f in files]))
    for file in sorted((folder / "_background_noise_").glob("*.wav")):
        noise = read_wav(file)
        pcm = noise[: len(noise) // CLIP_SAMPLES * CLIP_SAMPLES].reshape(-1, CLIP_SAMPLES)
        parts.append(_label_clips(pcm, "_silence_", [f"{file.stem}{i}" for i in range(len(pcm))]))
    return join_clips(*parts)


def _label_clips(pcm: np.ndarray, word: str, names: list[str]) -> Clips:
    label = LABELS.index(word if word in LABELS else "_unknown_")
    # Names end in <speaker>_nohash_<take>.wav; the pack puts the word of an unknown in front.
    speaker = [Path(name).name.split("_nohash_")[0].split("_")[-1] for name in names]
    return Clips(pcm, np.full(len(pcm), label), np.array(speaker, dtype="U64"))


def _fit(pcm: np.ndarray) -> np.ndarray:
    return np.pad(pcm[:CLIP_SAMPLES], (0, max(0, CLIP_SAMPLES - len(pcm))))
