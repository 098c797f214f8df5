"""TensorFlow's messages without TensorFlow: a screen reads what is written in files, and the import
of what would run them takes some hundred times as long."""

import functools
import importlib
import importlib.util
import sys
import threading
from typing import Any

PACKAGE = "tensorflow"
_ONE_AT_A_TIME = threading.Lock()


@functools.cache
def messages(name: str) -> Any:
    """Returns the module of tensorflow.core.protobuf with these messages.

    It needs protobuf alone, but Python would run the package above it first; unless that is
    imported already, a package that is not run stands for it meanwhile, and no module stays.
    """
    module = f"{PACKAGE}.core.protobuf.{name}_pb2"
    with _ONE_AT_A_TIME:
        spec = None if PACKAGE in sys.modules else importlib.util.find_spec(PACKAGE)
        if spec is None:
            return importlib.import_module(module)
        try:
            sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
            return importlib.import_module(module)
        finally:
            for each in [each for each in sys.modules if each.partition(".")[0] == PACKAGE]:
                del sys.modules[each]
