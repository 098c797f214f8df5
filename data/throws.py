"""Invented throws: a ball leaves the hand, the air slows it down, and it lands."""

from collections.abc import Iterator
from typing import Any

import numpy as np

GRAVITY = 9.81
"""m/s2."""
STEP = 0.01
"""Seconds."""


def rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields `speed` (m/s), `angle` (degrees), `drag` (1/m), and what came of them: `flight` (3,),
    the width (m), the height (m) and the time (s)."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        speed, angle = generator.uniform(5, 25), generator.uniform(20, 70)
        drag = generator.uniform(0, 0.05)
        flight = _flight(speed, np.deg2rad(angle), drag) * generator.normal(1, 0.01, 3)
        start = {"speed": speed, "angle": angle, "drag": drag}
        yield {**start, "flight": flight.astype(np.float32)}


def _flight(speed: float, angle: float, drag: float) -> np.ndarray:
    place = np.zeros(2)
    velocity = speed * np.array([np.cos(angle), np.sin(angle)])
    highest = seconds = 0.0
    while place[1] >= 0:
        slowed = drag * np.hypot(*velocity) * velocity
        velocity = velocity - STEP * (slowed + np.array([0, GRAVITY]))
        place = place + STEP * velocity
        highest, seconds = max(highest, place[1]), seconds + STEP
    return np.array([place[0], highest, seconds])
