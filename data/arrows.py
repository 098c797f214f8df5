"""Invented pictures of arrows, and where each points; `python data/arrows.py` writes the files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 20
WAYS = ("down", "left", "right", "up")
COUNT, SEED = 240, 0


def rows(count: int = COUNT, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yields `picture` (20, 20, 3) uint8, an arrow in one colour on another with noise, and `way`,
    the name of where it points: each as often as the others."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        yield {"picture": _picture(way, generator), "way": way}


def _picture(way: str, generator: np.random.Generator) -> np.ndarray:
    ground, colour = generator.integers(0, 110, 3), generator.integers(145, 256, 3)
    length, width = int(generator.integers(8, 13)), int(generator.integers(2, 4))
    left, top = (int(each) for each in generator.integers(1, SIDE - length - 1, 2))
    image = Image.new("RGB", (SIDE, SIDE), tuple(ground.tolist()))
    middle, head = top + length // 2, length // 2
    draw, fill = ImageDraw.Draw(image), tuple(colour.tolist())
    tip = (left + length, middle)
    draw.rectangle((left, middle - width // 2, tip[0] - head, middle + (width - 1) // 2), fill)
    draw.polygon((tip, (tip[0] - head, middle - head), (tip[0] - head, middle + head)), fill)
    turns = {"right": 0, "up": 90, "left": 180, "down": 270}
    pixels = np.array(image.rotate(turns[way])) + generator.normal(0, 12, (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write(folder: Path) -> None:
    """Writes <folder>/<way>/<number>.png of all rows."""
    for number, row in enumerate(rows()):
        file = folder / row["way"] / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(row["picture"]).save(file)


if __name__ == "__main__":
    write(Path(__file__).with_suffix(""))
