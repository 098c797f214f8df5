"""A sound file becomes an array of samples of a stated rate and length, or is named as the one that
does not."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.media_params import Audio
from pipeline.data.media import Decode, Undecodable
from pipeline.data.tables import Array
from pipeline.errors import CannotRun, ParamsError

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "AIFF")
"""libsndfile's names of what is read: what keeps each sample, as MP3 and Ogg do not."""
SUFFIXES = (".wav", ".flac", ".aif", ".aiff")
LAYOUTS = {"T": "[samples]", "TC": "[samples, channels]", "CT": "[channels, samples]"}


def decoder(config: Audio, shape: tuple[int, ...], dtype: str, key: str) -> Decode:
    """Returns what decodes a file to an array of this shape. Raises ParamsError for a shape or
    dtype that sound does not have, and CannotRun without the library."""
    layout = config.layout or ("TC" if len(shape) == 2 else "T")
    if len(shape) != len(layout) or min(shape) < 1:
        raise ParamsError(f"{key}.shape: found {list(shape)}, expected {LAYOUTS[layout]}")
    if dtype not in ("float32", "float64"):
        raise ParamsError(f"{key}.dtype: found {dtype}, expected float32 or float64: -1 to 1")
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as fault:  # the library beneath it is missing
        text = " ".join(str(fault).split())
        way_out = "`pip install soundfile`, the extra `audio` of pyproject.toml"
        raise CannotRun(f"{key}.audio: needs soundfile ({text}); {way_out}") from None
    sizes = dict(zip(layout, shape, strict=True))
    return partial(_decode, config, sizes["T"], sizes.get("C", 1), layout, dtype)


def _decode(
    config: Audio, samples: int, channels: int, layout: str, dtype: str, file: Path
) -> Array:
    values = _decoded(file, config, samples, channels, dtype)
    return np.ascontiguousarray({"T": values[:, 0], "TC": values, "CT": values.T}[layout])


def _decoded(file: Path, config: Audio, samples: int, channels: int, dtype: str) -> Array:
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            _demand_as_stated(file, sound, config, samples, channels)
            values: Array = sound.read(samples, dtype=dtype, always_2d=True)
            if len(values) < min(samples, sound.frames):
                text = f"ends after {len(values)} of {sound.frames} samples"
                raise Undecodable(f"{file}: broken ({text}); bring it again or drop the row")
    except (soundfile.SoundFileError, RuntimeError, OSError) as fault:
        text = " ".join(str(fault).split()).rpartition(": ")[2]
        raise Undecodable(f"{file}: is no sound ({text}), expected WAV, FLAC or AIFF") from None
    return np.pad(values, ((0, samples - len(values)), (0, 0)))


def _demand_as_stated(file: Path, sound: Any, config: Audio, samples: int, channels: int) -> None:
    if sound.format not in FORMATS:
        raise Undecodable(f"{file}: found {sound.format}, expected WAV, FLAC or AIFF; convert it")
    if sound.samplerate != config.rate:
        found = f"{sound.samplerate} samples a second, expected {config.rate}"
        raise Undecodable(f"{file}: found {found}; resample it, or correct audio.rate")
    if sound.channels != channels:
        found = f"{sound.channels} channels, expected {channels}"
        raise Undecodable(f"{file}: found {found}; mix or split it, or correct the shape")
    found = f"found {sound.frames} samples, expected {samples}"
    if sound.frames > samples and config.longer == "refuse":
        raise Undecodable(f"{file}: {found}; cut it, or set audio.longer=crop")
    if sound.frames < samples and config.shorter == "refuse":
        raise Undecodable(f"{file}: {found}; fill it up, or set audio.shorter=pad")
