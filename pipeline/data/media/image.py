"""An image file becomes an array of pixels of a stated mode and size, or is named as the one that
does not."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.media_params import Image
from pipeline.data.media import Bounds, Content, Decode, Undecodable
from pipeline.data.tables import Array
from pipeline.errors import ParamsError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Pillow's names of what is read. Others start programs (EPS), or not every build has them."""
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".pbm",
    ".pgm",
    ".ppm",
)
MOST_PIXELS = 1 << 27
"""A file of a few KB can claim more than any memory holds."""
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4, "I;16": 1, "class": 1}
LAYOUTS = {
    "HW": "[height, width]",
    "HWC": "[height, width, {}]",
    "CHW": "[{}, height, width]",
}
DTYPES = {"I;16": ("float32", "float64", "int64"), "class": ("int64", "uint8")}
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")
Size = tuple[Bounds, Bounds]
"""Width and height."""
BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError),
    *(RuntimeError, struct.error, zlib.error),
)
"""What Pillow raises for a file that it cannot read to its end."""


def decoder(config: Image, shape: tuple[Bounds, ...], dtype: str, key: str) -> Decode:
    """Returns what decodes a file to an array of a shape within these bounds. Raises ParamsError
    for a shape or dtype that the mode does not have, and for resizing to a size that varies."""
    channels = CHANNELS[config.mode]
    layout = config.layout or ("HWC" if len(shape) == 3 else "HW")
    sizes = dict(zip(layout, shape, strict=False))
    least, colors = min((low for low, _ in shape), default=0), (channels, channels)
    fits = len(shape) == len(layout) and least > 0 and sizes.get("C", colors) == colors
    if not fits or (layout == "HW" and channels > 1):
        expected = LAYOUTS[layout if channels == 1 or "C" in layout else "HWC"]
        of = f"of {config.mode} pixels" + (f" in {layout}" if config.layout else "")
        stated = [low if low == most else f"{low} to {most}" for low, most in shape]
        raise ParamsError(f"{key}.shape: found {stated}, expected {expected.format(channels)} {of}")
    if config.resize != "none" and any(low != most for low, most in shape):
        raise ParamsError(
            f"{key}.image.resize: found {config.resize} where the size varies; set it to none, or "
            "numbers in the shape"
        )
    allowed = DTYPES.get(config.mode, ("uint8", "float32", "float64", "int64"))
    if dtype not in allowed:
        of = f"of {config.mode} pixels"
        raise ParamsError(f"{key}.dtype: found {dtype}, expected {' or '.join(allowed)} {of}")
    size = sizes["W"], sizes["H"]
    return partial(_decode, config, size, layout)


def _decode(config: Image, size: Size, layout: str, file: Path, content: Content) -> Array:
    return np.ascontiguousarray(_laid_out(_decoded(file, content, config, size), layout))


def _laid_out(pixels: Array, layout: str) -> Array:
    """Returns (height, width) or (height, width, channels) in the order of the layout."""
    if layout == "HW":
        return pixels
    with_channels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return with_channels if layout == "HWC" else np.moveaxis(with_channels, 2, 0)


def _decoded(file: Path, content: Content, config: Image, size: Size) -> Array:
    import PIL.Image
    from PIL import ImageOps

    PIL.Image.MAX_IMAGE_PIXELS = None  # its own limit warns first, and is no line of ours
    try:
        with PIL.Image.open(content, formats=FORMATS) as image:
            _demand_plain(file, image)
            image.load()
            upright = ImageOps.exif_transpose(image)
            sized = _resized(file, _in_mode(file, upright, config), config, size)
            return np.array(sized)
    except PIL.UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise Undecodable(f"{file}: is no image, expected one of {known}; drop the row") from None
    except BROKEN as fault:
        text = " ".join(str(fault).split()) or type(fault).__name__
        raise Undecodable(f"{file}: broken ({text}); bring it again or drop the row") from None


def _demand_plain(file: Path, image: Any) -> None:
    """Refuses what unpacks beyond its size, what is several images, and colours of 16 bits, which
    Pillow would halve."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        most = f"at most {MOST_PIXELS} pixels"
        raise Undecodable(f"{file}: claims {width} x {height} pixels, expected {most}")
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        frames = f"{image.n_frames} frames, expected one image"
        raise Undecodable(f"{file}: found {frames}; make a file of each, or of the one you mean")
    if image.mode in EIGHT_BITS and any(";16" in str(tile) for tile in image.tile):
        raise Undecodable(f"{file}: found 16 bits a channel, expected 8; convert the file")


def _in_mode(file: Path, image: Any, config: Image) -> Any:
    """Returns the image in the stated mode. Raises Undecodable where it would be another image."""
    if config.mode == "class":
        return _classes(file, image)
    if config.mode == "I;16":
        return _demand_mode(file, image, config.mode, SIXTEEN_BITS)
    _demand_mode(file, image, config.mode, EIGHT_BITS)
    if config.mode == "RGBA" or not image.has_transparency_data:
        return image if image.mode == config.mode else image.convert(config.mode)
    return _on_background(file, image.convert("RGBA"), config).convert(config.mode)


def _demand_mode(file: Path, image: Any, mode: str, allowed: tuple[str, ...]) -> Any:
    if image.mode not in allowed:
        bits = "16 bits a pixel" if image.mode in SIXTEEN_BITS else f"{image.mode} pixels"
        raise Undecodable(f"{file}: found {bits}, which are not taken for {mode}; convert the file")
    return image


def _on_background(file: Path, image: Any, config: Image) -> Any:
    import PIL.Image

    if config.background is None:
        if image.getextrema()[3][0] < 255:
            way_out = "set image.background or image.mode: RGBA"
            raise Undecodable(
                f"{file}: found transparent pixels, {config.mode} has none; {way_out}"
            )
        return image
    behind = PIL.Image.new("RGBA", image.size, config.background)
    return PIL.Image.alpha_composite(behind, image)


def _classes(file: Path, image: Any) -> Any:
    """Returns the numbers that stand in a mask: palette entries, greys, or 0 and 1."""
    import PIL.Image

    if image.mode == "1":
        return PIL.Image.fromarray(np.array(image).astype(np.uint8))
    if image.mode in ("L", "P"):
        return PIL.Image.fromarray(np.array(image))
    if image.mode in SIXTEEN_BITS:
        return PIL.Image.fromarray(np.array(image).astype(np.int32))
    what = f"found {image.mode} pixels, expected a number each (L, P, 1 or 16 bits)"
    raise Undecodable(f"{file}: {what}; save the class ids themselves")


def _resized(file: Path, image: Any, config: Image, sizes: Size) -> Any:
    from PIL import ImageOps

    pairs = zip(image.size, sizes, strict=True)
    if all(low <= size <= most for size, (low, most) in pairs):
        return image
    if config.resize == "none":
        width, height = (str(low) if low == most else f"{low} to {most}" for low, most in sizes)
        problem = f"found {image.width} x {image.height} pixels (width x height)"
        varies = any(low != most for low, most in sizes)
        way_out = (
            f"resize the file, or {'correct data.dimensions' if varies else 'set image.resize'}"
        )
        raise Undecodable(f"{file}: {problem}, expected {width} x {height}; {way_out}")
    size = sizes[0][0], sizes[1][0]
    method = _filter("nearest" if config.mode == "class" else config.filter)
    ways: dict[str, Callable[[], Any]] = {
        "stretch": lambda: image.resize(size, method),
        "crop": lambda: ImageOps.fit(image, size, method),
        "pad": lambda: ImageOps.pad(image, size, method, color=_zero(image)),
    }
    return ways[config.resize]()


def _zero(image: Any) -> int | tuple[int, ...]:
    bands = len(image.getbands())
    return 0 if bands == 1 else (0,) * bands


def _filter(name: str) -> Any:
    import PIL.Image

    return getattr(PIL.Image.Resampling, name.upper())
