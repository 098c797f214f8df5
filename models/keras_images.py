"""Pictures of 8 bits a pixel and channel into classes."""

import keras
from keras import layers


def keras_images(height: int, width: int, colours: int, channels: int, classes: int) -> keras.Model:
    """Pixels in, (rows, height, width, colours) uint8; probabilities out, (rows, classes)."""
    inputs = keras.Input((height, width, colours), dtype="uint8", name="picture")
    values = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for filters in (channels, 2 * channels):
        values = layers.Conv2D(filters, 3, padding="same", activation="relu")(values)
        values = layers.MaxPooling2D(2)(values)
    values = layers.Conv2D(2 * channels, 3, padding="same", activation="relu")(values)
    values = layers.GlobalMaxPooling2D()(values)
    answers = layers.Dense(classes, activation="softmax", name="probabilities")(values)
    return keras.Model(inputs, answers, name="keras_images")
