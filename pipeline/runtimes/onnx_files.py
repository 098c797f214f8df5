"""The files of a complete model that its ONNX program is made of."""

from pathlib import Path

from pipeline import formats


def weight_files(directory: Path) -> list[str]:
    """Returns the files that model.onnx names as places of its weights, for who has no folder to
    look for them in, or another one."""
    onnx = formats.declared("onnx")
    named = (formats.declared(name).weight_files for name in formats.names())
    every = sorted({*onnx.entries, *(file for each in named for file in each)} - {onnx.file})
    content = (directory / onnx.file).read_bytes()
    return [file for file in every if (directory / file).is_file() and file.encode() in content]
