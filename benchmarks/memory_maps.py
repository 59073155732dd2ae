"""Pieces of memory that a process has mapped, after so many models: XLA maps some for each program, and keeps them.

    python benchmarks/memory_maps.py                  # 300 models, made and trained
    python benchmarks/memory_maps.py --models 100 --every 10 --sizes 3

A process on Linux may map 65,530 (`vm.max_map_count`) by default, and ends at the limit with a segmentation fault.
"""

import argparse
import gc
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_rnnlm import layers
from keras_rnnlm.recurrence import memory_maps


def train_one(units, batch=8, length=12, features=4):
    """A model of two layers, trained for a step, asked for a prediction, and dropped."""
    model = keras.Sequential(
        [
            keras.Input((length, features)),
            layers.LSTM(units, peephole=True, return_sequences=True),
            layers.GRU(units),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x = np.zeros((batch, length, features), "float32")
    model.train_on_batch(x, np.zeros((batch, 1), "float32"))
    model.predict_on_batch(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--every", type=int, default=50, help="print after so many models")
    parser.add_argument("--sizes", type=int, default=1, help="how many different numbers of units the models have")
    options = parser.parse_args()
    before, start = memory_maps.count(), time.perf_counter()
    print(f"{'models':>8}{'maps':>10}{'seconds':>10}\n{0:8}{before:10,}{0:10.0f}")
    for k in range(options.models):
        train_one(8 + k % options.sizes)
        keras.backend.clear_session()
        gc.collect()
        if (k + 1) % options.every == 0:
            print(f"{k + 1:8}{memory_maps.count():10,}{time.perf_counter() - start:10.0f}", flush=True)


if __name__ == "__main__":
    main()
