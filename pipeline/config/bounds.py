"""A parameter's type can carry bounds: a number's range, or the plug-ins that may be named."""

from dataclasses import dataclass

from pipeline.project import ROOT

PACKAGE = ROOT / "pipeline"
CONTRACT = "contract"


@dataclass(frozen=True)
class Range:
    """A range bounds a number: `least` and `most` belong to it, `above` and `below` do not."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def fault(self, value: float) -> str | None:
        low = (self.least is None or value >= self.least) and (
            self.above is None or value > self.above
        )
        high = (self.most is None or value <= self.most) and (
            self.below is None or value < self.below
        )
        return None if low and high else str(self)

    def __str__(self) -> str:
        words = {"at least": self.least, "at most": self.most}
        words |= {"above": self.above, "below": self.below}
        return " and ".join(
            f"{word} {limit:g}" for word, limit in words.items() if limit is not None
        )


@dataclass(frozen=True)
class Plugin:
    """A plug-in is named as its module or folder is, in a folder of the package (`data.tables`)."""

    folder: str

    def names(self) -> list[str]:
        folder = PACKAGE / self.folder.replace(".", "/")
        if folders := [path.parent.name for path in folder.glob("[!_]*/__init__.py")]:
            return sorted(folders)
        return sorted(path.stem for path in folder.glob("[!_]*.py") if path.stem != CONTRACT)

    def fault(self, value: str) -> str | None:
        return None if value in self.names() else f"one of {', '.join(self.names())}"
