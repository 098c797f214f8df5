"""Stands before this package where MLflow's server is tried: it needs nothing of ours.

MLflow opens each plug-in that is installed beside it, and passes over one that cannot be imported.
"""

raise ImportError("a complete model is served without the package that made it")
