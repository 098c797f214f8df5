"""What one would write instead of the pipeline, with Keras: the same model on the same rows.

Trains keras_mlp on the digits, logs it to MLflow with an input example, and has MLflow load it
again and predict in a process of its own.
"""

import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
from mlflow.models import predict
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

EPOCHS, BATCH_SIZE, LEARNING_RATE, UNITS, LARGEST = 20, 32, 0.001, 64, 16.0


def rows(path: Path) -> tuple[np.ndarray, np.ndarray]:
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
    return table[:, :-1], table[:, -1].astype(np.int64)


class Logged(keras.callbacks.Callback):
    """Logs what an epoch reaches on validation."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        names = {"val_loss": "val/loss", "val_accuracy": "val/accuracy"}
        mlflow.log_metrics({new: logs[old] for old, new in names.items()}, step=epoch + 1)


def main(data: Path, store: Path) -> None:
    keras.utils.set_random_seed(0)
    x, y = rows(data)
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=0
    )
    x_train, x_val, y_train, y_val = train_test_split(
        x_rest, y_rest, test_size=0.25, stratify=y_rest, random_state=0
    )
    layers = [
        keras.layers.Rescaling(1 / LARGEST),
        keras.layers.Dense(UNITS, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((64,), name="pixels"), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss, metrics=["accuracy"])
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    if mlflow.get_experiment_by_name("by-hand") is None:
        mlflow.create_experiment("by-hand", artifact_location=str(store / "artifacts"))
    mlflow.set_experiment("by-hand")
    with mlflow.start_run():
        mlflow.log_params({"epochs": EPOCHS, "batch_size": BATCH_SIZE, "lr": LEARNING_RATE})
        model.fit(
            x_train,
            y_train,
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            validation_data=(x_val, y_val),
            callbacks=[Logged()],
            verbose=0,
        )
        tested = model.evaluate(x_test, y_test, verbose=0)[0]
        accuracy = accuracy_score(y_test, model.predict(x_test, verbose=0).argmax(1))
        mlflow.log_metrics({"test/loss": tested, "test/accuracy": accuracy})
        logged = mlflow.tensorflow.log_model(model, name="model", input_example=x_test[:7])
    predict(logged.model_uri, x_test[:7], env_manager="local")
    print(f"test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
