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
PROGRAMS = (
    *("torch.export.pt2_archive._package", "torch._inductor.sizevars", "sympy.tensor.tensor"),
    *("torch.fx.experimental.validator", "torch.utils.serialization.config"),
)
"""What torch imports when it loads a program, and later still."""
IMPORTS = {
    **{
        name: (*modules, *(PROGRAMS if "torch.export._trace" in modules else ()))
        for name, modules in SANDBOXES.items()
    },
    "pytorch": (
        *("torch._dynamo", "torch.export", "torch.onnx", "sklearn.metrics", "hydra.utils"),
        *("networkx", "onnxscript.function_libs.torch_lib.ops", "ruamel.yaml", "omegaconf._impl"),
        *("torch._export.serde.serialize", "torch._export.non_strict_utils", "torch.export._trace"),
        *("torch.export._unlift", "torch.export.pt2_archive._package", "torch.utils.serialization"),
        *("torch._functorch._aot_autograd.graph_capture", "torch._dynamo.precompile_context"),
        *("torch._functorch.aot_autograd", "sympy.tensor.tensor", "sympy.assumptions.wrapper"),
        "torch.distributed.launcher.api",
    ),
    "ranks": (
        *("torch._dynamo", "torch.distributed.fsdp", "torch.distributed.checkpoint.state_dict"),
        *("sklearn.metrics", "hydra.utils", "ruamel.yaml", "omegaconf._impl"),
    ),
    "keras": ("tensorflow", "keras", "sklearn.metrics", "hydra.utils", "ruamel.yaml"),
    "mlflow": (
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.tracking.rest_store"),
        *("mlflow.store.tracking.sqlalchemy_workspace_store", "alembic.command", "ruamel.yaml"),
        *("mlflow.utils.search_logged_model_utils", "sqlalchemy.dialects.sqlite"),
        *("hydra._internal.utils", "hydra.core.override_parser.overrides_parser", "optuna"),
    ),
    "mlflow server": ("uvicorn", "mlflow.cli", "mlflow.server.fastapi_app", "alembic.command"),
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
        *(f"dvc.repo.experiments.{name}" for name in ("run", "show", "queue.celery")),
        *("dvc.repo.experiments.queue.tempdir", "dvc.utils.hydra", "omegaconf._impl"),
    ),
}
ABSENT = imports.ABSENT | dict.fromkeys(SANDBOXES, SURROUNDINGS["absent"])
"""While the framework is imported, as the pipeline does it."""
SET_BEFORE = {
    "keras": imports.SET_BEFORE["keras"],
    "mlflow": SURROUNDINGS["mlflow"],
    "mlflow server": {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "SAMEORIGIN",
    },
    "ranks": {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    },
    **dict.fromkeys(SANDBOXES, SURROUNDINGS["sandbox"]),
}
"""What the pipeline sets before it imports the framework."""
SET_BY_IMPORTS = {
    **SET_BEFORE["keras"],
    **SET_BEFORE["mlflow"],
    **SET_BEFORE["mlflow server"],
    "TF2_BEHAVIOR": "1",
    "TPU_ML_PLATFORM": "Tensorflow",
    "HDF5_PLUGIN_PATH": "disable",
    "ENABLE_RUNTIME_UPTIME_TELEMETRY": "1",
    "KMP_DUPLICATE_LIB_OK": "True",
    "KMP_INIT_AT_FORK": "FALSE",
    "THP_MEM_ALLOC_ENABLE": "1",
}
"""A process that has imported the same hands these on, and they change nothing."""
MLFLOW = {"mlflow", "mlflow server"}
NOBODY: set[str] = set()
BY_PARENT = {
    "DVC_": {"dvc"},
    "TORCHELASTIC_": NOBODY,
    "CELERY_": NOBODY,
    "_MP_FORK_": NOBODY,
    "MLFLOW_": MLFLOW,
    "_MLFLOW_": MLFLOW,
}
"""Variables that begin so are read by what these parents import, if at all."""
READ_BY_NO_IMPORT = {
    *("PATH", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES", "PYTHONPATH", "PRELOADED"),
    *("PYTEST_CURRENT_TEST", "PLANT"),
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"),
    *("PYTEST_VERSION", "FAULTS_SHARED", "TMPDIR", "DVC_STAGE", "DVC_ROOT", "DVC_EXP_NAME"),
    *("RUNS_STAGES", "ENDS_WITH", "FAULTS_MAY_MOUNT", "STORES_BY_THEMSELVES"),
    *("DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "_MLFLOW_TELEMETRY_SESSION_ID"),
    *("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"),
    *("TPU_ML_PLATFORM_VERSION", "TORCHINDUCTOR_CACHE_DIR", "GIT_TERMINAL_PROMPT"),
    *("PYTORCH_NVML_BASED_CUDA_CHECK", "CUBLAS_WORKSPACE_CONFIG", "SLURM_CONF", "RAY_ADDRESS"),
}
MEETING = {"MASTER_ADDR", "MASTER_PORT", "GLOO_SOCKET_IFNAME"}
UNREAD_BY = {
    **{name: {"HOME", "TMPDIR"} for name in SANDBOXES},
    "mlflow server": {
        *("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "_MLFLOW_SERVER_BOOT_ID", "_MLFLOW_SGI_NAME"),
        *("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE", "MLFLOW_ENABLE_WORKSPACES"),
        *("_MLFLOW_SERVER_ARTIFACT_ROOT", "_MLFLOW_SERVER_ARTIFACT_DESTINATION"),
        *("_MLFLOW_SERVER_SERVE_ARTIFACTS", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
        *("MLFLOW_SERVER_SECRETS_CACHE_TTL", "MLFLOW_SERVER_SECRETS_CACHE_MAX_SIZE"),
        "_MLFLOW_IN_JOB_EXECUTOR",
    },
    "pytorch": MEETING,
    "ranks": {
        *MEETING,
        *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME"),
        *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
        "TORCH_NCCL_ASYNC_ERROR_HANDLING",
    },
}
"""By parent, others that no import of its reads: those of a sandbox are an empty folder, another
each time; what a server serves it reads when it is asked, and a rank its place when it begins."""
ENVIRON = dict(os.environ)
START = {
    "ranks": ENVIRON | SET_BEFORE["ranks"],
    **{name: SET_BEFORE[name] for name in SANDBOXES},
}
"""The variables that a parent has while it imports, if not those of this process."""


def foreign(parent: str, now: dict[str, str]) -> str | None:
    """Returns a variable that the parent's imports may have read, and that was another one then."""
    start = START.get(parent, ENVIRON)
    unread = READ_BY_NO_IMPORT | UNREAD_BY.get(parent, set())
    for name in sorted(now.keys() | start.keys()):
        readers = [BY_PARENT[each] for each in BY_PARENT if name.startswith(each)]
        if name in unread or any(parent not in each for each in readers):
            continue
        known = start.get(name)
        if now.get(name) not in (known, SET_BY_IMPORTS.get(name, known)):
            return f"variable {name}"
    return None
