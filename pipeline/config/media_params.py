"""How a cell that names a file becomes an array: `image` or `audio` of an input or a target."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.bounds import Range


@dataclass(frozen=True, kw_only=True)
class Image:
    """The rows' shape says how large the arrays are; `layout` says in which order."""

    mode: Literal["L", "RGB", "RGBA", "I;16", "class"]
    """Pillow's name of the pixels: 8 bits of grey, three or four channels, 16 bits of grey. "class"
    takes the numbers in the file as they are, a palette's too: a mask for segmentation."""
    layout: Literal["HWC", "CHW", "HW"] | None = None
    """Height, width and channels of the array; null is HW of two numbers and HWC of three."""
    resize: Literal["none", "stretch", "crop", "pad"] = "none"
    """What becomes of an image of another size: an error, both sides to size, the middle of what
    covers the size, or the whole within it with zeros around."""
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    """Of resizing; a class is always that of the nearest pixel."""
    background: Literal["black", "white"] | None = None
    """What lies behind transparent pixels where the mode has no alpha; null takes none."""
    folder: str = "."
    """Below data/, that the names in the column are relative to."""
    suffix: str | None = None
    """Of the files, in place of the names' own; for masks beside images: .png."""


@dataclass(frozen=True, kw_only=True)
class Audio:
    """The rows' shape says how many samples and channels; a sample is -1 to 1."""

    rate: Annotated[int, Range(least=1)]
    """Samples a second, which each file must have."""
    layout: Literal["T", "TC", "CT"] | None = None
    """Time and channels of the array; null is T of one number and TC of two. Each file must have as
    many channels; T is one."""
    longer: Literal["refuse", "crop"] = "refuse"
    """What becomes of a file with more samples than the shape: an error, or its beginning."""
    shorter: Literal["refuse", "pad"] = "refuse"
    """What becomes of one with fewer: an error, or zeros at its end."""
    lossy: bool = False
    """Whether MP3 and Ogg are taken: another version of libsndfile, or another processor, may
    decode other samples from them."""
    folder: str = "."
    """Below data/, that the names in the column are relative to."""
    suffix: str | None = None
    """Of the files, in place of the names' own."""
