"""`python -m benchmarks.decoding --files 2000`: how much sooner do several processes decode?

PNGs of a smooth picture with some noise are decoded by one process and by several, in turn; the
bytes must be the same.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.media_params import Image as ImageParams
from pipeline.data.media import Place, image, workers
from pipeline.data.media.column import Column
from pipeline.data.media.decoded import ROWS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--side", type=int, default=224, help="of each picture, in pixels")
    parser.add_argument("--workers", type=int, default=workers.count())
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        column = written(Path(folder), arguments.files, arguments.side)
        pairs = [
            (timed(column, 1, arguments), timed(column, arguments.workers, arguments))
            for _ in range(arguments.runs)
        ]
    assert len({digest for pair in pairs for _, digest in pair}) == 1
    one, several = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
    ratios = sorted(several / one for (one, _), (several, _) in pairs)
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"1 process {one:.2f} s, {arguments.workers} processes {several:.2f} s, ratio {spread}")


def written(folder: Path, files: int, side: int) -> Column:
    """The column of pictures that are written."""
    small = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((side, side)))
    for n in range(files):
        Image.fromarray(np.roll(smooth, n, 0)).save(folder / f"{n}.png")
    shape = (side, side, 3)
    decode = image.decoder(ImageParams(mode="RGB"), shape, "uint8", "picture")
    place = Place(folder, ".", None)
    return Column(source="file", place=place, decode=decode, shape=shape, bytes=side * side * 3)


def timed(column: Column, number: int, arguments: argparse.Namespace) -> tuple[float, str]:
    """Seconds, and a digest of all pixels."""
    os.environ[workers.COUNT] = str(number)
    names = np.array([f"{n}.png" for n in range(arguments.files)], object)
    most = min(ROWS, max(1, (1 << 22) // column.bytes))
    chunks = ((row, {"file": names[row : row + most]}) for row in range(0, len(names), most))
    digest, start = hashlib.sha256(), time.perf_counter()
    for _, arrays in workers.in_order({"pixels": column}, chunks):
        digest.update(np.ascontiguousarray(arrays["pixels"]).data)
    return time.perf_counter() - start, digest.hexdigest()


if __name__ == "__main__":
    main()
