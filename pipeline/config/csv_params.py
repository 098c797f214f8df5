"""How a text file of rows is written: `data.csv` of params.yaml."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ParamsError


@dataclass(frozen=True, kw_only=True)
class Csv:
    """How a text file of rows is written, where that is not as most are."""

    header: bool = True
    """Whether the first line names the columns; if not, they are column_1, column_2 and so on."""
    separator: str | None = None
    """One character; null is a comma in .csv and a tab in .tsv."""
    decimal: Literal[".", ","] = "."
    """What stands before a number's fraction."""
    encoding: str = "utf-8"
    """utf-16, cp1252 or another that Python knows."""
    quote: str | None = '"'
    """What surrounds a cell that has separators or line ends in it; null where nothing does."""
    missing: tuple[str, ...] = ()
    """Texts such as NA that stand for a missing value, as an empty cell always does."""
    time: str | None = None
    """Of dates and times, in the letters of strptime ("%d.%m.%Y"); null is ISO 8601."""

    def __post_init__(self) -> None:
        for key, text in (("separator", self.separator), ("quote", self.quote)):
            if text is not None and (len(text) != 1 or not text.isascii() or text in "\r\n\0"):
                raise ParamsError(f"data.csv.{key}: found {text!r}, expected one ASCII character")
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ParamsError(
                f"data.csv.encoding: found {self.encoding!r}, expected one that Python knows, such "
                "as utf-8, utf-16, cp1252 or latin-1"
            ) from None
