"""Text and numbers side by side: words are looked up inside the model."""

from collections.abc import Sequence

import keras
from keras import layers


def keras_text_tabular(
    words: Sequence[str], numbers: str, columns: int, tokens: int, units: int, classes: int
) -> keras.Model:
    """Inputs by name: each of `words` a text a row, `numbers` (rows, columns); probabilities out.

    `tokens` is the size of each vocabulary, the place for unseen words included; beyond it the
    rarest words count as unseen.
    """
    inputs = {name: keras.Input((), dtype="string", name=name) for name in words}
    values = []
    for name, text in inputs.items():
        index = layers.StringLookup(max_tokens=tokens, name=f"{name}_lookup")(text)
        values.append(layers.Embedding(tokens, 4, name=f"{name}_embedding")(index))
    inputs[numbers] = keras.Input((columns,), name=numbers)
    values.append(layers.Normalization(name=f"{numbers}_normalization")(inputs[numbers]))
    hidden = layers.Concatenate(name="together")(values)
    hidden = layers.Dense(units, activation="relu", name="hidden")(hidden)
    probabilities = layers.Dense(classes, activation="softmax", name="probabilities")(hidden)
    return keras.Model(inputs, probabilities, name="keras_text_tabular")
