"""A part of a file is read here as a file of its own."""

import io
from typing import BinaryIO


class Slice(io.RawIOBase):
    """A part of an open file, from an offset on, of a size."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        end = file.seek(0, io.SEEK_END)
        if start < 0 or size < 0 or start + size > end:
            raise ValueError(f"a piece of {size} bytes at {start}, behind the end of the file")
        self.file, self.start, self.size, self.at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"a seek to {base + offset}")
        self.at = base + offset
        return self.at

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        self.file.seek(self.start + self.at)
        content = self.file.read(max(0, min(len(buffer), self.size - self.at)))
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)
