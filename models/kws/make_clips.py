"""Write what ships beside the model and is not a recording: calib.npz and the demo clips.

    python models/kws/make_clips.py

Speech is synthetic (espeak-ng), noise is computed: nothing of Speech Commands is in them. The demo
clips use voices that training never hears. Needs espeak-ng.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
from augment import make_silence, vary_clip
from recordings import CLIP_SAMPLES, RATE_HZ
from synthesise import make_noise, place, speak, synthesise_words

from norcim.audio import LogMelConfig, log_mel

HERE = Path(__file__).parent
N_CALIBRATION = 100
# None of these variants is in TRAIN_VARIANTS.
DEMO_VOICES = {
    "yes": ("en+john", 140, 45),
    "no": ("en-us+linda", 140, 45),
    "up": ("en+max", 140, 45),
    "down": ("en-us+john", 140, 45),
    "left": ("en+Michael", 140, 45),
    "right": ("en+steph", 140, 45),
    "on": ("en-us+linda", 140, 45),
    "off": ("en+max", 140, 45),
    "stop": ("en-us+max", 140, 45),
    "go": ("en-us+Michael", 140, 45),
    "unknown": ("en+shelby", 140, 45),
}
DEMO_WORDS = {"unknown": "seven"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write to [here]")
    parser.add_argument("--seed", type=int, default=7, help="of every random draw [7]")
    options = parser.parse_args()
    codes = make_calibration(options.seed)
    np.savez_compressed(options.output / "calib.npz", x=codes)
    print(f"calib.npz: {codes.shape} {codes.dtype}")
    folder = options.output / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    for label, pcm in make_demo_clips(options.seed).items():
        write_wav(folder / f"{label}_01.wav", pcm)
        print(f"clips/{label}_01.wav")


def make_calibration(seed: int) -> np.ndarray:
    """Codes uint8 (100, 1, n_frames, n_mels): keywords, other words and noise at many levels."""
    speech = synthesise_words(7, 18, seed)
    silence = make_silence(N_CALIBRATION - len(speech), seed)
    rng = np.random.default_rng(seed)
    no_recordings = np.zeros(0, np.int16)
    pcm = [
        vary_clip(clip, label, no_recordings, rng)
        for part in (speech, silence)
        for clip, label in zip(part.pcm, part.label, strict=True)
    ]
    return log_mel(np.stack(pcm), LogMelConfig())[:, None]


def make_demo_clips(seed: int) -> dict[str, np.ndarray]:
    """One clip for each keyword, one of an unknown word, one of quiet noise; int16 (16000,)."""
    rng = np.random.default_rng(seed)
    clips = {}
    for label, voice in DEMO_VOICES.items():
        speech = place(speak(DEMO_WORDS.get(label, label), voice), rng)
        room = 20 * make_noise(CLIP_SAMPLES, rng)
        clips[label] = np.clip(np.round(0.5 * speech + room), -32768, 32767).astype(np.int16)
    clips["silence"] = np.round(60 * make_noise(CLIP_SAMPLES, rng)).astype(np.int16)
    return clips


def write_wav(path: Path, pcm: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())


if __name__ == "__main__":
    main()
