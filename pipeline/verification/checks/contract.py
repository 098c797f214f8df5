"""What a check is: a module whose docstring begins with what it checks, for the report."""

from typing import Protocol

from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Result


class Check(Protocol):
    """A module in this folder; its name is that in params.verify.checks."""

    def check(self, evidence: Evidence) -> Result:
        """Returns every fault that there is, and what was measured; loads nothing itself."""
