"""What a process imports before its jobs come, and the variables that these imports read."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable

METRICS = "metrics"
"""The name of what every framework's process has imported before, and `verify` needs alone."""
IMPORTS: dict[str, tuple[tuple[str, ...], ...]] = {
    METRICS: (("sklearn.metrics", "hydra.utils"),),
    "pytorch": (
        ("torch", "torch._dynamo"),
        ("networkx", "torch.export", "torch.onnx", "onnxscript.function_libs.torch_lib.ops"),
    ),
    "keras": (("tensorflow", "keras"),),
    "mlflow": (("mlflow.store.tracking.sqlalchemy_store",),),
}
"""By framework, and for MLflow: what the first job waits for, then what is imported while there is
none."""
ABSENT = {"keras": ("matplotlib", "pandas", "sklearn"), "mlflow": ("pandas",)}
"""What the framework does without, as where the pipeline imports it."""
OURS = ("pipeline",)
"""MLflow imports its plug-ins, ours from where it is installed, which need not be the project."""
SET_BEFORE = {
    "pytorch": {"TORCHINDUCTOR_CACHE_DIR": sys.prefix},
    "keras": {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1",
    },
    "mlflow": {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"},
}
"""What the pipeline sets before it imports the framework. torch makes a folder where there is none,
which would be left by a server that is killed; nothing is compiled into it."""
UNREAD = {
    *("PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES"),
    *("DVC_STAGE", "RUNS_STAGES", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"),
}
"""Variables that may differ, for no import reads them."""


def preload(name: str, modules: Iterable[str]) -> None:
    """Imports the modules; a missing one is left to whoever needs it, who says so."""
    os.environ |= SET_BEFORE.get(name, {})
    hidden = {each: sys.modules.get(each) for each in (*ABSENT.get(name, ()), *OURS)}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    for each, there in hidden.items():
        del sys.modules[each]
        if there:
            sys.modules[each] = there


def other_variable(before: dict[str, str], now: dict[str, str], unread: set[str]) -> str | None:
    """Returns a variable that an import may have read, and that is another one for the job."""
    for name in sorted(before.keys() | now.keys()):
        if name not in unread and before.get(name) != now.get(name):
            return name
    return None
