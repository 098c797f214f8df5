"""A sound file becomes an array of samples of a stated rate and length, or is named as the one that
does not."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.media_params import Audio
from pipeline.data.media import Bounds, Content, Decode, Undecodable
from pipeline.data.tables import Array
from pipeline.errors import CannotRun, ParamsError

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "AIFF")
"""libsndfile's names of what is read: what keeps each sample."""
LOSSY = {"MPEG": "MP3", "MP3": "MP3", "OGG": "Ogg"}
"""Those of what decodes otherwise from version to version."""
SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".mp3", ".ogg", ".opus")
LAYOUTS = {"T": "[samples]", "TC": "[samples, channels]", "CT": "[channels, samples]"}


def decoder(config: Audio, shape: tuple[Bounds, ...], dtype: str, key: str) -> Decode:
    """Returns what decodes a file to an array of a shape within these bounds. Raises ParamsError
    for a shape or dtype that sound does not have, and CannotRun without the library."""
    layout = config.layout or ("TC" if len(shape) == 2 else "T")
    sizes = dict(zip(layout, shape, strict=False))
    channels, most = sizes.get("C", (1, 1))
    if len(shape) != len(layout) or min(low for low, _ in shape) < 1 or channels != most:
        stated = [low if low == most else f"{low} to {most}" for low, most in shape]
        raise ParamsError(f"{key}.shape: found {stated}, expected {LAYOUTS[layout]}")
    if dtype not in ("float32", "float64"):
        raise ParamsError(f"{key}.dtype: found {dtype}, expected float32 or float64: -1 to 1")
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as fault:  # the library beneath it is missing
        text = " ".join(str(fault).split())
        way_out = "`pip install soundfile`, the extra `audio` of pyproject.toml"
        raise CannotRun(f"{key}.audio: needs soundfile ({text}); {way_out}") from None
    return partial(_decode, config, sizes["T"], channels, layout, dtype)


def _decode(
    config: Audio,
    samples: Bounds,
    channels: int,
    layout: str,
    dtype: str,
    file: Path,
    content: Content,
) -> Array:
    values = _decoded(file, content, config, samples, channels, dtype)
    return np.ascontiguousarray({"T": values[:, 0], "TC": values, "CT": values.T}[layout])


def _decoded(
    file: Path, content: Content, config: Audio, samples: Bounds, channels: int, dtype: str
) -> Array:
    import soundfile

    least, most = samples
    try:
        with soundfile.SoundFile(content) as sound:
            _demand_as_stated(file, sound, config, samples, channels)
            values: Array = sound.read(most, dtype=dtype, always_2d=True)
            if len(values) < min(most, sound.frames):
                text = f"ends after {len(values)} of {sound.frames} samples"
                raise Undecodable(f"{file}: broken ({text}); bring it again or drop the row")
    except (soundfile.SoundFileError, RuntimeError, OSError) as fault:
        text = " ".join(str(fault).split()).rpartition(": ")[2]
        raise Undecodable(f"{file}: is no sound ({text}), expected WAV, FLAC or AIFF") from None
    return np.pad(values, ((0, max(0, least - len(values))), (0, 0)))


def _demand_as_stated(
    file: Path, sound: Any, config: Audio, samples: Bounds, channels: int
) -> None:
    if sound.format in LOSSY and not config.lossy:
        problem = f"found {LOSSY[sound.format]}, which decodes otherwise from version to version"
        raise Undecodable(f"{file}: {problem}; convert it to FLAC, or set audio.lossy=true")
    if sound.format not in (*FORMATS, *LOSSY):
        raise Undecodable(f"{file}: found {sound.format}, expected WAV, FLAC or AIFF; convert it")
    if sound.samplerate != config.rate:
        problem = f"{sound.samplerate} samples a second, expected {config.rate}"
        raise Undecodable(f"{file}: found {problem}; resample it, or correct audio.rate")
    if sound.channels != channels:
        problem = f"{sound.channels} channels, expected {channels}"
        raise Undecodable(f"{file}: found {problem}; mix or split it, or correct the shape")
    least, most = samples
    expected = f"{least}" if least == most else f"{least} to {most}"
    problem = f"found {sound.frames} samples, expected {expected}"
    if sound.frames > most and config.longer == "refuse":
        raise Undecodable(f"{file}: {problem}; cut it, or set audio.longer=crop")
    if sound.frames < least and config.shorter == "refuse":
        raise Undecodable(f"{file}: {problem}; fill it up, or set audio.shorter=pad")
