"""What each parent imports, and the variables that these imports may have read."""

import json
import os
import sys

from pipeline.preloading import imports

SURROUNDINGS = json.loads(sys.argv[2])
"""Of the pipeline: `mlflow`, what it sets before it imports MLflow; `sandbox`, the only variables
of a process that loads a model; `absent`, what its fork servers do without, and `servers`, what
each of them imports."""
SANDBOXES = {f"sandbox {','.join(each)}": tuple(each) for each in SURROUNDINGS["servers"]}
IMPORTS = {
    **SANDBOXES,
    "pytorch": (
        *("torch._dynamo", "torch.export", "torch.onnx", "sklearn.metrics", "hydra.utils"),
        *("networkx", "onnxscript.function_libs.torch_lib.ops", "ruamel.yaml", "omegaconf._impl"),
        *("torch._export.serde.serialize", "torch._export.non_strict_utils", "torch.export._trace"),
        *("torch.export._unlift", "torch.export.pt2_archive._package", "torch.utils.serialization"),
        *("torch._functorch._aot_autograd.graph_capture", "torch._dynamo.precompile_context"),
        *("torch._functorch.aot_autograd", "sympy.tensor.tensor", "sympy.assumptions.wrapper"),
    ),
    "keras": ("tensorflow", "keras", "sklearn.metrics", "hydra.utils", "ruamel.yaml"),
    "mlflow": (
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.tracking.rest_store"),
        *("mlflow.store.tracking.sqlalchemy_workspace_store", "alembic.command", "ruamel.yaml"),
        *("mlflow.utils.search_logged_model_utils", "sqlalchemy.dialects.sqlite"),
    ),
    "plain": (
        *("sklearn.metrics", "hydra", "jinja2", "pyarrow.csv", "ruamel.yaml", "yaml"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg"),
    ),
    "dvc": (
        *("dvc.cli.parser", "dvc.stage.run", "dvc.analytics", "dvc.cachemgr", "dvc.data_cloud"),
        *("dvc.dirs", "dvc.lock", "dvc.rwlock", "dvc.scm", "dvc.utils.strictyaml", "dvc._debug"),
        *(f"dvc.repo.{name}" for name in ("artifacts", "datasets", "graph", "index", "metrics")),
        *(f"dvc.repo.{name}" for name in ("open_repo", "params", "plots", "stage", "trie")),
        *("dvc_data.index", "dvc_data.hashfile.status", "dvc_data.hashfile.db.local"),
        *("dvc_data.hashfile._progress", "dulwich.patch", "dulwich.worktree", "scmrepo.git"),
        *("configobj", "fsspec.implementations.memory", "networkx", "pygit2", "ruamel.yaml"),
    ),
}
ABSENT = imports.ABSENT | dict.fromkeys(SANDBOXES, SURROUNDINGS["absent"])
"""While the framework is imported, as the pipeline does it."""
SET_BEFORE = {
    "keras": imports.SET_BEFORE["keras"],
    "mlflow": SURROUNDINGS["mlflow"],
    **dict.fromkeys(SANDBOXES, SURROUNDINGS["sandbox"]),
}
"""What the pipeline sets before it imports the framework."""
SET_BY_IMPORTS = {
    **SET_BEFORE["keras"],
    **SET_BEFORE["mlflow"],
    "TF2_BEHAVIOR": "1",
    "TPU_ML_PLATFORM": "Tensorflow",
    "HDF5_PLUGIN_PATH": "disable",
    "ENABLE_RUNTIME_UPTIME_TELEMETRY": "1",
    "KMP_DUPLICATE_LIB_OK": "True",
    "KMP_INIT_AT_FORK": "FALSE",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""A process that has imported the same hands these on, and they change nothing."""
BY_PARENT = {"DVC_": "dvc", "MLFLOW_": "mlflow", "_MLFLOW_": "mlflow"}
"""Variables that begin so are read by what this parent imports, if at all."""
READ_BY_NO_IMPORT = {
    *("PATH", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES", "PYTHONPATH", "PRELOADED"),
    "PYTEST_CURRENT_TEST",
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"),
    *("PYTEST_VERSION", "FAULTS_SHARED", "TMPDIR", "DVC_STAGE", "DVC_ROOT", "DVC_EXP_NAME"),
    "RUNS_STAGES",
    *("DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "_MLFLOW_TELEMETRY_SESSION_ID"),
    *("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"),
    *("TPU_ML_PLATFORM_VERSION", "TORCHINDUCTOR_CACHE_DIR", "GIT_TERMINAL_PROMPT"),
    "PYTORCH_NVML_BASED_CUDA_CHECK",
}
OF_EACH_SANDBOX = {"HOME", "TMPDIR"}
"""An empty folder, another each time."""
START = dict(os.environ)


def foreign(parent: str, now: dict[str, str]) -> str | None:
    """Returns a variable that the parent's imports may have read, and that was another one then."""
    start = SET_BEFORE[parent] if parent in SANDBOXES else START
    unread = READ_BY_NO_IMPORT | (OF_EACH_SANDBOX if parent in SANDBOXES else set())
    for name in sorted(now.keys() | start.keys()):
        of_another = {BY_PARENT[each] for each in BY_PARENT if name.startswith(each)} - {parent}
        if name in unread or of_another:
            continue
        known = start.get(name)
        if now.get(name) not in (known, SET_BY_IMPORTS.get(name, known)):
            return f"variable {name}"
    return None
