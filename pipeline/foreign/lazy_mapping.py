"""Values of a file that are brought each time that they are asked for, so that no more of them are
in memory than somebody holds."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Bring = Callable[[Any], Any]


class LazyMapping(Mapping[Any, Any]):
    """A mapping of which each value is brought when it is asked for, and mappings within it are the
    same."""

    def __init__(self, values: Mapping[Any, Any], bring: Bring) -> None:
        self._values, self._bring = values, bring

    def __getitem__(self, key: Any) -> Any:
        value = self._values[key]
        return LazyMapping(value, self._bring) if isinstance(value, dict) else self._bring(value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
