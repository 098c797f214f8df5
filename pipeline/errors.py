"""An error's type says who must act; its one line says where, what was found, what was expected and
what to do."""


class PipelineError(Exception):
    """A user's mistake or an artifact's fault: one line and exit code 1, never a traceback."""


class ParamsError(PipelineError):
    """Edit the configuration."""


class ModelError(PipelineError):
    """Correct the model's code."""


class DataError(PipelineError):
    """Fix the data file."""


class Diverged(PipelineError):
    """Training left the finite numbers: change the learning rate, the clipping or the data."""


class RankFailed(PipelineError):
    """Run the stage again: a process of the training was lost."""


class IncompleteArtifact(PipelineError):
    """Run the earlier stage (again)."""


class FormatError(PipelineError):
    """This model does not fit this format: leave the format out or change the model."""


class ChangedMeanwhile(PipelineError):
    """Leave the stage's inputs alone while it runs; run it again."""


class VerificationFailed(PipelineError):
    """Do not ship."""


class NotWritten(PipelineError):
    """Make room, or make the place writable."""


class CannotRun(PipelineError):
    """Get what is missing."""
