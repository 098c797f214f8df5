"""A date or a time becomes a number: how many units after an origin, both stated in the params."""

import re
from dataclasses import dataclass
from datetime import date

import numpy as np

from pipeline.data.tables import Array
from pipeline.errors import ParamsError

TICKS = {"D": 86_400 * 10**9, "h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9}
TICKS |= {"ms": 10**6, "us": 1000, "ns": 1}
"""Nanoseconds of numpy's units."""
UNITS = {"days": "D", "hours": "h", "minutes": "m", "seconds": "s"}
UNITS |= {"milliseconds": "ms", "microseconds": "us"}
STATED = re.compile(rf"({'|'.join(UNITS)})(?: since (\d{{4}}-\d{{2}}-\d{{2}}))?")
YEARS = range(1678, 2262)
"""Which 64 bits of nanoseconds reach."""


@dataclass(frozen=True)
class Clock:
    """A clock counts from midnight UTC of its origin; a time without a zone is taken for UTC."""

    unit: str
    origin: str

    def count(self, times: Array) -> Array:
        """Returns int64 where all are whole, else float64 with NaN for NaT."""
        ticks_unit = np.datetime_data(times.dtype)[0]
        if ticks_unit not in TICKS:  # years, months, weeks
            times, ticks_unit = times.astype("M8[D]"), "D"
        origin = np.datetime64(self.origin).astype(f"M8[{ticks_unit}]")
        ticks, missing = (times - origin).astype(np.int64), np.isnat(times)
        per, finer = divmod(TICKS[UNITS[self.unit]], TICKS[ticks_unit])
        if finer:
            per, ticks = 1, ticks * (TICKS[ticks_unit] // TICKS[UNITS[self.unit]])
        whole, rest = np.divmod(ticks, per)
        exact = not missing.any() and not rest.any()
        result: Array = whole if exact else np.where(missing, np.nan, whole + rest / per)
        return result


def clock(key: str, stated: str) -> Clock:
    """Returns the clock of "days since 2020-01-01" or "seconds", which is since 1970-01-01."""
    match = STATED.fullmatch(stated)
    origin = (match[2] if match else None) or "1970-01-01"
    try:
        valid = match is not None and date.fromisoformat(origin).year in YEARS
    except ValueError:
        valid = False
    if match is None or not valid:
        raise ParamsError(
            f"{key}: found {stated!r}, expected one of {', '.join(UNITS)}, with an origin such as "
            f'"days since 2020-01-01" unless it is 1970-01-01'
        )
    return Clock(match[1], origin)
