"""Sound files become arrays of samples as stated; a file that cannot is named."""

import io
import sys
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.data import arrays
from pipeline.data.splits import SPLITS
from pipeline.errors import CannotRun, ParamsError
from testing.raw_data import RawData

RATE = 8000


def encoded(samples: np.ndarray, form: str = "WAV", rate: int = RATE, **options: Any) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, **options)
    return stream.getvalue()


def noise(seed: int = 0, samples: int = 50, channels: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-(2**15), 2**15, (samples, channels))
    return (values / 2**15).astype(np.float32)


@pytest.fixture
def folder(raw: RawData) -> RawData:
    """calls/frog/0.wav to 4.wav and calls/owl/0.flac to 4.flac, each of 50 samples."""
    for n in range(5):
        raw.write(f"calls/frog/{n}.wav", encoded(noise(n)))
        raw.write(f"calls/owl/{n}.flac", encoded(noise(10 + n), "FLAC"))
    return raw


def config(shape: Any = (50,), dtype: str = "float32", **audio: Any) -> dict[str, Any]:
    sound = {
        "source": "path",
        "shape": list(shape),
        "dtype": dtype,
        "audio": {"rate": RATE} | audio,
    }
    label = {"source": "folder", "classes": ["frog", "owl"]}
    return {"file": "calls", "inputs": {"sound": sound}, "targets": {"label": label}}


def odd_row(raw: RawData, content: bytes, **options: Any) -> np.ndarray:
    """What became of one file among those of `folder`."""
    raw.write("calls/frog/odd.wav", content)
    plain = {noise(n)[:20, 0].tobytes() for n in range(15)}
    rows = raw.prepare(**config(**options))["sound"]
    return next(row for row in rows if row.reshape(-1)[:20].tobytes() not in plain)


def test_a_folder_by_class_is_samples_and_labels(folder: RawData) -> None:
    arrays = folder.prepare(**config())
    assert arrays["sound"].dtype == np.float32 and arrays["sound"].shape == (10, 50)
    expected = {noise(n)[:, 0].tobytes(): int(n >= 10) for n in (*range(5), *range(10, 15))}
    found = zip(arrays["sound"], arrays["label"], strict=True)
    assert {row.tobytes(): label for row, label in found} == expected


@pytest.mark.parametrize(("layout", "shape"), [("TC", (50, 2)), ("CT", (2, 50)), (None, (50, 2))])
def test_channels_are_laid_out_as_stated(raw: RawData, layout, shape) -> None:
    for n in range(5):
        raw.write(f"calls/frog/{n}.wav", encoded(noise(n, channels=2)))
        raw.write(f"calls/owl/{n}.wav", encoded(noise(10 + n, channels=2)))
    rows = raw.prepare(**config(shape=shape, layout=layout))["sound"]
    assert rows.shape[1:] == shape
    plain = rows if layout != "CT" else rows.transpose(0, 2, 1)
    assert {np.ascontiguousarray(row).tobytes() for row in plain} == {
        noise(n, channels=2).tobytes() for n in (*range(5), *range(10, 15))
    }


def test_a_longer_file_is_cut_and_a_shorter_one_filled_where_that_is_stated(
    folder: RawData,
) -> None:
    long = odd_row(folder, encoded(noise(99, 70)), longer="crop")
    assert np.array_equal(long, noise(99, 70)[:50, 0])
    short = odd_row(folder, encoded(noise(98, 30)), shorter="pad")
    assert np.array_equal(short[:30], noise(98, 30)[:, 0]) and not short[30:].any()


WHOLE = encoded(noise(3))
REFUSED = {
    "no sound": (b"hello, this is text", "is no sound"),
    "zero bytes": (b"", "has no bytes"),
    "a header alone": (WHOLE[:20], "is no sound"),
    "longer": (encoded(noise(3, 51)), "51 samples, expected 50; cut it, or set audio.longer=crop"),
    "shorter": (encoded(noise(3, 49)), "49 samples, expected 50; fill it up"),
    "cut off": (WHOLE[:-10], "45 samples, expected 50"),
    "another rate": (encoded(noise(3), rate=16_000), "16000 samples a second, expected 8000"),
    "two channels": (encoded(noise(3, channels=2)), "2 channels, expected 1"),
    "no number": (encoded(np.full(50, np.nan), subtype="FLOAT"), "found nan"),
    "lossy": (encoded(noise(3), "OGG"), "convert it to FLAC, or set audio.lossy=true"),
    "another format": (encoded(noise(3), "AU"), "found AU, expected WAV, FLAC or AIFF"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_taken_is_named(folder: RawData, kind) -> None:
    content, words = REFUSED[kind]
    folder.write("calls/frog/odd.wav", content)
    folder.refuses("data/calls/frog/odd.wav: ", words, **config())


def test_a_flac_that_is_cut_off_is_named(folder: RawData) -> None:
    content = encoded(noise(3, 5000), "FLAC")
    folder.write("calls/owl/odd.flac", content[: len(content) // 2])
    folder.refuses("calls/owl/odd.flac: ", **config(longer="crop", shorter="pad", shape=[5000]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [50, 2], "layout": "T"}, "data.inputs.sound.shape: found [50, 2]"),
        ({"dtype": "int64"}, "data.inputs.sound.dtype: found int64"),
        ({"rate": 0}, "data.inputs.sound.audio.rate"),
    ],
)
def test_what_sound_does_not_have_is_refused(folder: RawData, changes, words) -> None:
    folder.refuses(words, error=ParamsError, **config(**changes))


def test_without_the_library_one_line_says_what_to_install(folder, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    words = "data.inputs.sound.audio: needs soundfile", "pip install soundfile"
    folder.refuses(*words, error=CannotRun, **config())


@pytest.mark.parametrize("form", ["MP3", "OGG"])
def test_what_loses_samples_is_taken_where_that_is_stated(raw: RawData, form: str) -> None:
    for n in range(10):
        name = f"calls/{('frog', 'owl')[n % 2]}/{n}.{form.lower()}"
        raw.write(name, encoded(noise(n, 3000), form))
    raw.refuses("which decodes otherwise from version to version", **config([2000]))
    sound = raw.prepare(**config([2000], lossy=True, longer="crop"))["sound"]
    assert sound.shape == (10, 2000) and 0.1 < np.abs(sound).mean() < 1


def test_sounds_are_as_long_as_they_are_where_their_length_varies(raw: RawData) -> None:
    for n in range(10):
        raw.write(f"calls/{('frog', 'owl')[n % 2]}/{n}.wav", encoded(noise(n, 20 + n, 2)))
    varies = {"dimensions": {"samples": {"least": 22, "most": 27}}}
    shape = (2, "samples")
    raw.refuses("found 20 samples, expected 22 to 27; fill", **config(shape, layout="CT") | varies)
    stated = {"layout": "CT", "shorter": "pad", "longer": "crop"}
    output = raw.write_arrays(**config(shape, **stated) | varies)
    found = set()
    for split in SPLITS:
        sounds = arrays.split(output, split)[0]["sound"]
        for row, (length,) in enumerate(sounds.sizes()):
            found.add((int(length), sounds[row : row + 1][0].tobytes()))
    expected = [np.pad(noise(n, 20 + n, 2), ((0, max(0, 2 - n)), (0, 0)))[:27] for n in range(10)]
    assert found == {(len(each), np.ascontiguousarray(each.T).tobytes()) for each in expected}
