"""`model.keras`: Keras' own archive, with the optimizer's state.

It is no complete model for classes of one's own.
"""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=False,
        safe_to_load=False,
        trainable=False,
        same_bytes=True,
        runtimes=("keras",),
        note="Loads without source only if every class in it is Keras' own: the modules of others, "
        "which the file names, are imported and so run. The optimizer is in it unless the weights "
        "are averages, dropout's seed state is not, so that training on, with the source at hand, "
        "ends otherwise.",
    ),
    frameworks=("keras",),
    requires=("keras", "tensorflow", "numpy"),
    imports=("tensorflow", "keras"),
    file="model.keras",
    entries=("model.keras",),
    tolerance=Tolerance(atol=1e-06, rtol=1e-05),
)
