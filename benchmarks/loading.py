"""`python -m benchmarks.loading`: how long from nothing to the first answer of a large model?

A complete model of this size is loaded in a new process, as its card says, and answers a row; the
peer is the same weights, saved by torch.save, mapped by torch.load and loaded into the class that
trained; or read, as torch.load does unless it is told to map. The files lie in the page cache. The
figures are wall and processor seconds of whole processes, imports included, and their largest
memory, as medians; the ratios are pair by pair.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.adopted import WIDTH
from benchmarks.large import costs
from benchmarks.reproduced import clone, environment

ROW = f"numpy.ones((1, {WIDTH}), numpy.float32)"
BY_HAND = f"""
import numpy, torch
from models.large import Large
net = Large({WIDTH}, {{layers}}).eval()
net.load_state_dict(torch.load("weights.pt", mmap=True, weights_only=True), assign=True)
with torch.inference_mode():
    print(net(torch.from_numpy({ROW})))
"""
WAYS = {
    "by hand": BY_HAND,
    "by hand, read": BY_HAND.replace("mmap=True, ", ""),
    "torch_export": f"""
import numpy, torch
net = torch.export.load("artifacts/complete-model/model.pt2").module()
with torch.inference_mode():
    print(net(torch.from_numpy({ROW})))
""",
    "onnx": f"""
import numpy, onnxruntime
session = onnxruntime.InferenceSession("artifacts/complete-model/model.onnx")
print(session.run(None, {{{{"values": {ROW}}}}}))
""",
}
SAVE = """
import torch
content = torch.export.load("artifacts/complete-model/model.pt2")
torch.save(dict(content.state_dict), "weights.pt")
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading")
    parser.add_argument("--mib", type=int, default=512, metavar="N", help="of the weights")
    parser.add_argument("--pairs", type=int, default=5, metavar="N")
    arguments = parser.parse_args()
    layers = max(1, arguments.mib * 2**18 // WIDTH**2)
    with tempfile.TemporaryDirectory() as scratch:
        place = clone(Path(scratch) / "clone")
        costs(place, WIDTH, layers, "pytorch", "reflink,copy", ["export.attempt=[onnx]"])
        seconds(place, SAVE)
        rounds = [
            {name: seconds(place, code.format(layers=layers)) for name, code in WAYS.items()}
            for _ in range(arguments.pairs + 1)
        ][1:]
    for name in WAYS:
        columns = zip(*(each[name] for each in rounds), strict=True)
        wall, processor, memory = map(statistics.median, columns)
        ratios = sorted(each[name][0] / each["by hand"][0] for each in rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:<14}{wall:>7.2f} s{processor:>7.2f} s{memory:>8.0f} MiB   {spread}")
    return 0


def seconds(place: Path, code: str) -> tuple[float, float, float]:
    """Returns wall seconds, processor seconds and MiB of a process that runs the code."""
    start = time.perf_counter()
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=place, env=environment(), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{code} ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
