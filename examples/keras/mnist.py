"""Train a Keras model and save it as Keras does; `import` brings it in.

    python examples/keras/mnist.py --data-dir data/mnist
    python -m training import keras-mnist.keras --name keras-mnist --reference held_out.npy --labels 0,1,2,3,4,5,6,7,8,9

The network is Dense 64, BatchNormalization, ReLU, Dense 10; Adam, 5 epochs, batches of 32.
Then `denge serve` serves it.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from training.data.load import load

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras


def main(arguments: list[str] | None = None) -> Path:
    """Train, test and save; returns the file of the model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    data = load(options.data, options.data_dir)
    train_rows, test_rows = (data.prepare(images).reshape(-1, 784) for images in (data.train_images, data.test_images))
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((784,), name="pixels"),
            layers.Dense(64),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(10, name="logits"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(train_rows, data.train_labels, epochs=options.epochs, batch_size=32, verbose=0)
    _, accuracy = model.evaluate(test_rows, data.test_labels, verbose=0)
    print(f"test accuracy {accuracy:.2%}")

    path = options.folder / "keras-mnist.keras"
    model.save(path)
    np.save(options.folder / "held_out.npy", test_rows)
    print(f"saved {path} and {options.folder / 'held_out.npy'}")
    return path


if __name__ == "__main__":
    main()
