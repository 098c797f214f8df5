"""Folders and tables of image files become arrays of pixels; a file that cannot is named."""

import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data import arrays
from pipeline.data.splits import SPLITS
from pipeline.errors import ParamsError
from testing.prepared import NO_SPLIT
from testing.raw_data import RawData

RED, BLUE = (250, 5, 5), (5, 5, 250)
CLASSES = {"label": {"source": "folder", "classes": ["blue", "red"]}}


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def picture(colour: Any = RED, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def noise(seed: int = 0, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), np.uint8)
    return (
        Image.fromarray(values, "RGBA").convert(mode)
        if mode != "RGBA"
        else (Image.fromarray(values))
    )


def pixels(**changes: Any) -> dict[str, Any]:
    """An input of RGB pixels from the paths of a folder, four high and six wide."""
    image = {"mode": "RGB"} | changes.pop("image", {})
    entry = {"source": "path", "shape": [4, 6, 3], "dtype": "uint8", "image": image}
    return {"pixels": entry | changes}


@pytest.fixture
def folder(raw: RawData) -> RawData:
    """shapes/blue/0.png to 4.png and shapes/red/0.png to 4.png, each another."""
    for at, name in enumerate(("red", "blue")):
        for n in range(5):
            raw.write(f"shapes/{name}/{n}.png", encoded(noise(10 * at + n)))
    return raw


def folder_config(**changes: Any) -> dict[str, Any]:
    return {"file": "shapes", "inputs": pixels(**changes), "targets": CLASSES}


def decoded(raw: RawData) -> dict[bytes, int]:
    """Pixels as Pillow has them -> label, by the folders' names."""
    names = sorted(raw.data.glob("shapes/*/*.png"))
    return {np.array(Image.open(path)).tobytes(): path.parent.name == "red" for path in names}


def test_a_folder_by_class_is_pixels_and_labels(folder: RawData) -> None:
    arrays = folder.prepare(**folder_config())
    assert arrays["pixels"].shape == (10, 4, 6, 3) and arrays["pixels"].dtype == np.uint8
    found = {
        row.tobytes(): label for row, label in zip(arrays["pixels"], arrays["label"], strict=True)
    }
    assert found == decoded(folder)


def test_it_is_the_same_twice(folder: RawData) -> None:
    one, other = folder.prepare(**folder_config()), folder.prepare(**folder_config())
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_pattern_names_some_of_the_files(folder: RawData) -> None:
    folder.write("shapes/red/notes.txt", "not a picture")
    arrays = folder.prepare(**folder_config() | {"file": "shapes/*/*.png"})
    assert len(arrays["label"]) == 10


def test_hidden_files_and_notes_of_dvc_and_people_are_left_alone(folder: RawData) -> None:
    for name in (".DS_Store", "red.dvc", ".gitignore", "shapes.md", ".hidden/x.png"):
        folder.write(f"shapes/{name}", "x")
        folder.write(f"shapes/red/{name}", "x")
    assert len(folder.prepare(**folder_config())["label"]) == 10


def test_a_table_names_the_files_below_data(raw: RawData) -> None:
    lines = ["file,label"]
    for n in range(8):
        raw.write(f"images/{n}.png", encoded(noise(n)))
        lines.append(f"images/{n}.png,{n % 2}")
    raw.write("table.csv", "\n".join(lines) + "\n")
    arrays = raw.prepare(file="table.csv", inputs=pixels(source="file"))
    expected = {np.array(noise(n)).tobytes(): n % 2 for n in range(8)}
    found = zip(arrays["pixels"], arrays["label"], strict=True)
    assert {row.tobytes(): label for row, label in found} == expected


def test_names_can_be_relative_to_a_folder_and_lack_their_suffix(raw: RawData) -> None:
    rows = "".join(f"{n},{n % 2}\n" for n in range(8))
    raw.write("table.csv", f"file,label\n{rows}")
    for n in range(8):
        raw.write(f"images/{n}.png", encoded(noise(n)))
    image = {"folder": "images", "suffix": ".png"}
    arrays = raw.prepare(file="table.csv", inputs=pixels(source="file", image=image))
    assert len(arrays["pixels"]) == 8


@pytest.mark.parametrize(
    ("layout", "shape"), [("HWC", [4, 6, 3]), ("CHW", [3, 4, 6]), (None, [4, 6, 3])]
)
def test_the_layout_is_as_stated(folder: RawData, layout, shape) -> None:
    arrays = folder.prepare(**folder_config(shape=shape, image={"layout": layout}))
    assert list(arrays["pixels"].shape[1:]) == shape
    plain = arrays["pixels"] if layout != "CHW" else np.moveaxis(arrays["pixels"], 1, 3)
    assert {row.tobytes() for row in plain} == set(decoded(folder))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_pixels_keep_their_values_in_another_dtype(folder: RawData, dtype) -> None:
    arrays = folder.prepare(**folder_config(dtype=dtype))
    assert arrays["pixels"].dtype == dtype
    assert {row.astype(np.uint8).tobytes() for row in arrays["pixels"]} == set(decoded(folder))


def one_picture(raw: RawData, content: bytes, name: str = "odd.png") -> None:
    """A folder in which one file is `content`, and the others are plain."""
    for n in range(5):
        raw.write(f"shapes/red/{n}.png", encoded(picture(RED)))
        raw.write(f"shapes/blue/{n}.png", encoded(picture(BLUE)))
    raw.write(f"shapes/red/{name}", content)


def odd_row(raw: RawData, content: bytes, name: str = "odd.png", **changes: Any) -> np.ndarray:
    """What the pixels of that file became: those of no other file."""
    one_picture(raw, content, name)
    found = raw.prepare(**folder_config(**changes))["pixels"]
    rows = {row.tobytes(): row for row in found}
    plain = [bytes(RED), bytes(BLUE)]
    return next(row for key, row in rows.items() if key[:3] not in plain)


GREEN = (0, 200, 0)


def turned() -> bytes:
    """A picture whose EXIF says that it lies on its side; upright its left half is green."""
    upright = picture((9, 9, 9))
    upright.paste(GREEN, (0, 0, 3, 4))
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees, clockwise
    return encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)


def test_a_picture_stands_upright_as_its_exif_says(raw: RawData) -> None:
    row = odd_row(raw, turned())
    assert (row[:, :3] == GREEN).all() and (row[:, 3:] == 9).all()


PLAIN = noise(3)
CONVERTED = {
    "grey": (encoded(PLAIN.convert("L")), PLAIN.convert("L").convert("RGB")),
    "palette": (encoded(PLAIN.quantize(9)), PLAIN.quantize(9).convert("RGB")),
    "one bit": (encoded(PLAIN.convert("1")), PLAIN.convert("1").convert("RGB")),
    "opaque alpha": (encoded(PLAIN.convert("RGBA")), PLAIN),
    "bmp": (encoded(PLAIN, "BMP"), PLAIN),
    "tiff": (encoded(PLAIN, "TIFF"), PLAIN),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_files_of_other_modes_are_brought_to_the_one_stated(raw: RawData, kind) -> None:
    content, expected = CONVERTED[kind]
    name = "odd.png" if content[:4] == b"\x89PNG" else f"odd.{kind}"
    assert np.array_equal(odd_row(raw, content, name), np.array(expected))


def test_a_jpeg_is_as_pillow_decodes_it(raw: RawData) -> None:
    content = encoded(PLAIN, "JPEG", quality=90)
    expected = np.array(Image.open(io.BytesIO(content)))
    assert np.array_equal(odd_row(raw, content, "odd.jpg"), expected)


def test_what_lies_behind_transparent_pixels_is_stated(raw: RawData) -> None:
    clear = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    row = odd_row(raw, encoded(clear), image={"background": "white"})
    assert (row == 255).all()


def deep(mode: str = "I;16") -> bytes:
    """A PNG of 16 bits a channel; Pillow writes grey ones alone."""
    if mode == "I;16":
        return encoded(Image.fromarray(np.full((4, 6), 40_000, np.uint16)))
    body = b"".join(b"\0" + b"\x12\x34" * 18 for _ in range(4))
    return png(6, 4, zlib.compress(body), depth=16, colour=2)


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        code = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + code

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def animation() -> bytes:
    frames = [picture(colour) for colour in (RED, BLUE)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


WHOLE = encoded(noise(5, (60, 40)).resize((6, 4)), "PNG")
LARGE = encoded(noise(5, (64, 64)), "JPEG")
REFUSED = {
    "no image": (b"hello, this is text", "odd.png", "is no image"),
    "zero bytes": (b"", "odd.png", "has no bytes"),
    "a PNG cut off": (WHOLE[: len(WHOLE) // 2], "odd.png", "broken"),
    "a JPEG cut off": (LARGE[: len(LARGE) // 2], "odd.jpg", "broken"),
    "a PNG without pixels": (png(6, 4, b""), "odd.png", "broken"),
    "garbled pixels": (png(6, 4, b"\xff" * 60), "odd.png", "broken"),
    "a bomb": (png(60_000, 60_000, zlib.compress(b"\0" * 9)), "odd.png", "60000 x 60000 pixels"),
    "16 bits": (deep(), "odd.png", "16 bits a pixel"),
    "16 bits a channel": (deep("RGB"), "odd.png", "16 bits a channel"),
    "CMYK": (encoded(picture((1, 2, 3, 4), mode="CMYK"), "JPEG"), "odd.jpg", "CMYK"),
    "floats": (encoded(Image.new("F", (6, 4)), "TIFF"), "odd.tif", "F pixels"),
    "an animation": (animation(), "odd.gif", "2 frames, expected one image"),
    "transparent": (encoded(Image.new("RGBA", (6, 4))), "odd.png", "transparent pixels"),
    "another size": (encoded(picture(size=(5, 4))), "odd.png", "5 x 4 pixels"),
    "an EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n", "odd.png", "is no image"),
    "an SVG": (b"<svg/>", "odd.svg", "expected files of .png"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_taken_is_named(raw: RawData, kind) -> None:
    content, name, words = REFUSED[kind]
    one_picture(raw, content, name)
    message = raw.refuses(f"data/shapes/red/{name}: ", words, **folder_config())
    assert message.startswith(str(raw.data))


def test_a_file_that_a_table_names_is_named_with_its_row(raw: RawData) -> None:
    rows = "".join(f"images/{n}.png,{n % 2}\n" for n in range(8))
    raw.write("table.csv", f"file,label\n{rows}")
    for n in range(8):
        raw.write(f"images/{n}.png", encoded(noise(n)))
    raw.write("images/5.png", b"broken")
    config = {"file": "table.csv", "inputs": pixels(source="file")}
    raw.refuses("table.csv: row 6 (line 7), column 'file'", "images/5.png: is no image", **config)
    (raw.data / "images/5.png").unlink()
    raw.refuses("images/5.png: no such file", "relative to", **config)
    raw.write("images/5.png.dvc", "outs: []")
    raw.refuses("images/5.png: not here, only its .dvc file; run `dvc pull`", **config)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b.png"])
def test_a_path_that_leads_out_of_data_is_refused(raw: RawData, name) -> None:
    rows = "".join(f"{name},{n % 2}\n" for n in range(8))
    raw.write("table.csv", f"file,label\n{rows}")
    raw.refuses(
        "row 1", name, "expected a path below", file="table.csv", inputs=pixels(source="file")
    )


def test_a_class_folder_without_files_is_named(folder: RawData) -> None:
    (folder.data / "shapes/green/.keep").parent.mkdir()
    folder.refuses("shapes/green: an empty folder", **folder_config())


def test_labels_are_the_folders_names_in_order_where_their_number_is_stated(folder) -> None:
    label = {"source": "folder", "classes": 2}
    arrays = folder.prepare(**folder_config() | {"targets": {"label": label}})
    assert np.array_equal(arrays["label"], folder.prepare(**folder_config())["label"])
    schema = json.loads((folder.root / "output/schema.json").read_text())
    assert schema["targets"]["label"]["labels"] == ["blue", "red"]
    wrong = folder_config() | {"targets": {"label": label | {"classes": 3}}}
    words = "data.targets.label.classes: found 3", "2 folders (blue, red)"
    folder.refuses_late(*words, error=ParamsError, **wrong)


def test_labels_are_numbered_as_the_classes_list_them(folder: RawData) -> None:
    label = {"source": "folder", "classes": ["red", "blue"]}
    swapped = folder.prepare(**folder_config() | {"targets": {"label": label}})
    assert np.array_equal(swapped["label"], 1 - folder.prepare(**folder_config())["label"])


def test_a_folder_that_is_no_class_is_named(folder: RawData) -> None:
    folder.write("shapes/green/0.png", encoded(picture()))
    folder.refuses("shapes/green/0.png", "'green'", "blue, red", **folder_config())


def test_a_class_with_too_few_files_is_named(folder: RawData) -> None:
    for n in range(1, 5):
        (folder.data / f"shapes/red/{n}.png").unlink()
    folder.refuses("data/shapes: column 'folder'", "has 1 rows", **folder_config())


def test_a_split_can_be_the_upper_folder_and_the_label_the_lower(raw: RawData) -> None:
    for split in ("train", "test"):
        for name in ("red", "blue"):
            for n in range(4):
                raw.write(f"shapes/{split}/{name}/{n}.png", encoded(noise(n)))
    label = {"source": "subfolder", "classes": ["blue", "red"]}
    arrays = raw.prepare(**folder_config() | {"targets": {"label": label}})
    assert sorted(arrays["label"]) == [0] * 8 + [1] * 8


def test_a_file_beside_the_class_folders_is_named(folder: RawData) -> None:
    folder.write("shapes/stray.png", encoded(picture()))
    folder.refuses("shapes/stray.png: expected it in", "<folder>", **folder_config())


def test_a_link_to_nowhere_is_named(folder: RawData) -> None:
    (folder.data / "shapes/red/link.png").symlink_to("nowhere.png")
    folder.refuses("shapes/red/link.png: is no file", **folder_config())


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_images_of_another_size_become_the_stated_one_as_stated(raw: RawData, resize) -> None:
    image = noise(7, (20, 20))
    found = odd_row(raw, encoded(image), image={"resize": resize})
    expected = {
        "stretch": image.resize((6, 4), Image.Resampling.BILINEAR),
        "crop": ImageOps.fit(image, (6, 4), Image.Resampling.BILINEAR),
        "pad": ImageOps.pad(image, (6, 4), Image.Resampling.BILINEAR),
    }
    assert np.array_equal(found, np.array(expected[resize]))
    assert resize != "pad" or (found[:, [0, -1]] == 0).all()


VARIES = {"dimensions": {"height": {"least": 1, "most": 9}, "width": {"least": 2, "most": 9}}}


def test_images_keep_their_size_where_it_varies_and_their_masks_with_them(raw: RawData) -> None:
    sizes = [(2 + n, 9 - n) for n in range(6)]
    for n, size in enumerate(sizes):
        mask = np.full(size[::-1], n % 3, np.uint8)
        raw.write(f"scenes/images/{n}.png", encoded(noise(n, size)))
        raw.write(f"scenes/masks/{n}.png", encoded(Image.fromarray(mask)))
    config = segmentation()
    config["inputs"]["pixels"] |= {"shape": ["height", "width", 3]}
    config["targets"]["mask"] |= {"shape": ["height", "width"]}
    output, found = raw.write_arrays(**config | VARIES), set()
    for split in SPLITS:
        inputs, targets = arrays.split(output, split)
        rows, masks = inputs["pixels"], targets["mask"]
        for row, (height, width) in enumerate(rows.sizes()):
            n = sizes.index((width, height))
            assert np.array_equal(rows[row : row + 1][0], np.array(noise(n, (width, height))))
            assert (masks[row : row + 1] == n % 3).all()
            found.add(n)
    assert found == set(range(6))
    raw.write("scenes/masks/0.png", encoded(Image.fromarray(np.zeros((9, 3), np.uint8))))
    raw.refuses_late("scenes/masks/0.png", "a width of 3, expected 2", **config | VARIES)
    raw.write("scenes/images/0.png", encoded(noise(0, (10, 2))))
    words = "found 10 x 2 pixels (width x height), expected 2 to 9 x 1 to 9"
    raw.refuses_late("scenes/images/0.png", words, "correct data.dimensions", **config | VARIES)
    config["inputs"]["pixels"]["image"]["resize"] = "pad"
    raw.refuses_late("image.resize: found pad where the size", error=ParamsError, **config | VARIES)


def test_grey_of_16_bits_is_kept_where_it_is_stated(raw: RawData) -> None:
    for name, least in {"red": 0, "blue": 50_000}.items():
        for n in range(5):
            values = np.full((4, 6), least + n, np.uint16)
            raw.write(f"shapes/{name}/{n}.png", encoded(Image.fromarray(values)))
    config = folder_config(shape=[4, 6], dtype="int64", image={"mode": "I;16"})
    found = raw.prepare(**config)["pixels"]
    assert sorted(set(found.ravel())) == [*range(5), *range(50_000, 50_005)]


def scenes(raw: RawData, ids: Mapping[int, np.ndarray] | None = None, mode: str = "L") -> None:
    """scenes/images/0.png on and scenes/masks/0.png on, whose pixels are 0 to 2."""
    for n in range(6):
        raw.write(f"scenes/images/{n}.png", encoded(noise(n)))
        mask = np.random.default_rng(n).integers(0, 3, (4, 6), np.uint8)
        image = Image.fromarray((ids or {}).get(n, mask))
        if mode == "P":
            image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        raw.write(f"scenes/masks/{n}.png", encoded(image))


def segmentation(**mask: Any) -> dict[str, Any]:
    image = {"mode": "class", "folder": "scenes/masks"} | mask
    target = {"source": "name", "shape": [4, 6], "classes": 3, "image": image}
    return {
        "file": "scenes/images",
        "inputs": pixels(source="name", image={"folder": "scenes/images"}),
        "targets": {"mask": target},
    }


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_mask_beside_each_image_keeps_its_class_ids(raw: RawData, mode) -> None:
    scenes(raw, mode=mode)
    arrays = raw.prepare(**segmentation())
    assert arrays["mask"].shape == (6, 4, 6) and arrays["mask"].dtype == np.int64
    masks = [np.random.default_rng(n).integers(0, 3, (4, 6), np.uint8) for n in range(6)]
    pairs = {np.array(noise(n)).tobytes(): mask for n, mask in enumerate(masks)}
    for row, mask in zip(arrays["pixels"], arrays["mask"], strict=True):
        assert np.array_equal(pairs[row.tobytes()], mask)


def test_a_mask_is_resized_to_the_nearest_class_whatever_the_filter(raw: RawData) -> None:
    scenes(raw)
    config = segmentation(resize="stretch", filter="bicubic")
    config["targets"]["mask"] |= {"shape": [8, 12]}
    assert set(np.unique(raw.prepare(**config)["mask"])) == {0, 1, 2}


def test_a_class_that_a_mask_must_not_have_is_named_with_its_pixel(raw: RawData) -> None:
    odd = np.zeros((4, 6), np.uint8)
    odd[2, 3] = 7
    scenes(raw, {4: odd})
    raw.refuses("scenes/masks/4.png", "[2, 3]", "found 7", "0 to 2", **segmentation())


def test_a_mask_of_colours_or_none_at_all_is_named(raw: RawData) -> None:
    scenes(raw)
    raw.write("scenes/masks/3.png", encoded(picture()))
    raw.refuses("scenes/masks/3.png: found RGB pixels, expected a number each", **segmentation())
    (raw.data / "scenes/masks/3.png").unlink()
    raw.refuses("scenes/masks/3.png: no such file", **segmentation())


WRONG = {
    "a shape without channels": (
        {"shape": [4, 6]},
        "data.inputs.pixels.shape",
        "[height, width, 3]",
    ),
    "another number": ({"shape": [4, 6, 4]}, "data.inputs.pixels.shape", "[height, width, 3]"),
    "nothing high": ({"shape": [0, 6, 3]}, "data.inputs.pixels.shape", "found [0, 6, 3]"),
    "a text": ({"dtype": "string"}, "data.inputs.pixels.dtype", "found string"),
    "an unknown mode": ({"image": {"mode": "HSV"}}, "data.inputs.pixels.image.mode", "'HSV'"),
    "two columns": ({"source": ["path", "name"]}, "data.inputs.pixels.source", "2 columns"),
    "sound as well": ({"audio": {"rate": 1}}, "data.inputs.pixels", "image and audio"),
    "8 bits of 16": (
        {"shape": [4, 6], "image": {"mode": "I;16"}},
        "data.inputs.pixels.dtype",
        "found uint8",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_shape_or_dtype_that_the_mode_does_not_have_is_refused(folder: RawData, kind) -> None:
    changes, *words = WRONG[kind]
    folder.refuses(*words, error=ParamsError, **folder_config(**changes))


def test_a_column_that_is_not_there_is_answered_with_those_that_are(folder: RawData) -> None:
    words = "data/shapes: no column 'file'", "'path', 'name', 'folder', 'subfolder'"
    folder.refuses(*words, **folder_config(source="file"))
    label = {"label": {"source": "class", "classes": 2}}
    config = folder_config() | {"targets": label}
    folder.refuses("no column 'class'", "'folder'", **config)


def test_a_folder_that_mixes_images_and_a_table_is_refused(folder: RawData) -> None:
    folder.write("shapes/labels.csv", "path,label\n")
    folder.refuses("holds .csv and .png", "data.file", **folder_config())


def test_memory_does_not_grow_with_the_images(tmp_path) -> None:
    """Batches of a few MB are decoded, whatever number of names a batch of the table has."""
    raw = RawData(tmp_path)
    for n in range(40):
        raw.write(f"shapes/{'red' if n % 2 else 'blue'}/{n}.png", encoded(picture(size=(500, 400))))
    from pipeline.config.data_params import Data
    from pipeline.config.reading import convert
    from pipeline.data.raw import open_raw

    values = {"name": "x", "file": "shapes", "rows": None, "csv": None, "id": None, "ignore": []}
    values |= {"dimensions": {}, "made_up": False}
    values |= {"inputs": pixels(shape=[400, 500, 3]), "targets": CLASSES}
    values |= {"split": NO_SPLIT | {"val": 0.2, "test": 0.2, "seed": 0}}
    table, _ = open_raw(raw.data, convert(values, Data, "data"))
    sizes = [len(each["path as pixels"]) for each in table.batches({"path as pixels": "number"})]
    assert sum(sizes) == 40 and max(sizes) * 400 * 500 * 3 <= 1 << 22


def packed(raw: RawData, suffix: str, **more: bytes) -> None:
    """Packs the folder shapes as shapes.zip or shapes.tar, and files beside it, and removes it."""
    files = {p.relative_to(raw.data / "shapes").as_posix(): p.read_bytes() for p in images_of(raw)}
    files |= {"__MACOSX/red/._0.png": b"x", **more}
    path = raw.data / f"shapes.{suffix}"
    with zipfile.ZipFile(path, "w") if suffix == "zip" else tarfile.open(path, "w") as archive:
        for name, content in files.items():
            if isinstance(archive, zipfile.ZipFile):
                archive.writestr(name, content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    shutil.rmtree(raw.data / "shapes")


def images_of(raw: RawData) -> list[Path]:
    return sorted(raw.data.glob("shapes/*/*.png"), reverse=True)


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_archive_is_as_the_folder_that_was_packed(folder: RawData, suffix: str) -> None:
    plain = folder.prepare(**folder_config())
    paths = "\n".join(f"red/{n}.png,1\nblue/{n}.png,0" for n in range(5))
    packed(folder, suffix)
    found = folder.prepare(**folder_config() | {"file": f"shapes.{suffix}"})
    assert all(np.array_equal(plain[name], found[name]) for name in plain)
    folder.write("named.csv", f"file,label\n{paths}\n")
    named = {
        "file": "named.csv",
        "inputs": pixels(source="file", image={"folder": f"shapes.{suffix}"}),
        "targets": {"label": {"source": "label", "classes": 2}},
    }
    rows = {each.tobytes() for each in folder.prepare(**named)["pixels"]}
    assert rows == {each.tobytes() for each in plain["pixels"]}
    folder.write("named.csv", "file,label\nred/9.png,1\n")
    folder.refuses_late(f"shapes.{suffix}/red/9.png: no such file", **named)


def test_a_bad_archive_or_a_bad_file_in_one_is_named(folder: RawData) -> None:
    packed(folder, "zip", **{"red/odd.png": b"no image"})
    config = folder_config() | {"file": "shapes.zip"}
    folder.refuses("data/shapes.zip/red/odd.png: is no image", **config)
    path = folder.data / "shapes.zip"
    path.write_bytes(path.read_bytes()[:-30])
    folder.refuses("shapes.zip: no zip archive: File is not a zip file", **config)
    folder.write("shapes.tar.gz", b"x")
    words = "compressed as a whole, expected .zip or .tar"
    folder.refuses(words, **folder_config() | {"file": "shapes.tar.gz"})
