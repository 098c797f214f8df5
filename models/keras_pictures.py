"""Small functional models over small pictures: which kinds are there, where is the largest, what is
each point?"""

import keras
from keras import layers, ops

SIDE = 16


def _picture() -> keras.KerasTensor:
    return keras.Input((SIDE, SIDE), dtype="uint8", name="picture")


def _scaled(picture: keras.KerasTensor) -> keras.KerasTensor:
    """Bytes (rows, height, width) in, one channel of -1 to 1 out."""
    channel = layers.Reshape((SIDE, SIDE, 1), name="channel")(picture)
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(channel)


def _block(values: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    values = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)(values)
    values = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(values)
    return layers.Activation("relu", name=f"{name}_relu")(values)


def _features(picture: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    values = layers.MaxPooling2D(name="half")(_block(_scaled(picture), channels, "fine"))
    values = layers.MaxPooling2D(name="quarter")(_block(values, 2 * channels, "coarse"))
    return layers.Flatten(name="features")(values)


def keras_kinds(channels: int, kinds: int) -> keras.Model:
    """Several labels a picture: logits (rows, kinds) out, each for itself."""
    picture = _picture()
    logits = layers.Dense(kinds, name="logits")(_features(picture, channels))
    return keras.Model(picture, logits, name="keras_kinds")


def keras_locator(channels: int, kinds: int) -> keras.Model:
    """Two answers by name: `kind`, probabilities (rows, kinds), and `place`, a box (rows, 4)."""
    picture = _picture()
    features = _features(picture, channels)
    answers = {
        "kind": layers.Dense(kinds, activation="softmax", name="kind")(features),
        "place": layers.Dense(4, activation="sigmoid", name="place")(features),
    }
    return keras.Model(picture, answers, name="keras_locator")


def keras_unet(channels: int, classes: int) -> keras.Model:
    """Image to mask: probabilities (rows, height, width, classes) out."""
    picture = _picture()
    fine = _block(_scaled(picture), channels, "down")
    coarse = _block(layers.MaxPooling2D(name="half")(fine), 2 * channels, "bottom")
    up = layers.Conv2DTranspose(channels, 2, strides=2, name="up")(coarse)
    values = _block(layers.Concatenate(name="both")([fine, up]), channels, "joined")
    masks = layers.Conv2D(classes, 1, activation="softmax", name="masks")(values)
    return keras.Model(picture, masks, name="keras_unet")


def keras_points(channels: int, classes: int) -> keras.Model:
    """Image of any size to mask: probabilities (rows, height, width, classes) out. Where `inside`
    is 0 there is nothing: padding changes no answer."""
    picture = keras.Input((None, None), dtype="uint8", name="picture")
    inside = keras.Input((None, None), name="inside")
    there = ops.expand_dims(inside, -1)
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(ops.expand_dims(picture, -1))
    near = layers.Conv2D(channels, 3, padding="same", activation="relu", name="near")
    far = layers.Conv2D(
        2 * channels, 3, padding="same", dilation_rate=3, activation="relu", name="far"
    )
    values = far(near(scaled * there) * there)
    masks = layers.Conv2D(classes, 1, activation="softmax", name="masks")(values)
    inputs = {"picture": picture, "inside": inside}
    return keras.Model(inputs, masks, name="keras_points")
