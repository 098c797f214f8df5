"""A complete model holds more than its formats: the card, MLflow's files, and programs in other
languages.

`card` writes README.md, `meanings` its lines about what numbers stand for, `mlmodel` MLmodel and
the files that MLflow reads. `attempts` judges a format that was only attempted; `programs` lays a
runtime's program into the directory, and `running` builds and runs it there, confined.

It imports config, data, formats, runtimes and sandbox.
"""
