"""What `ahead.py` compiles, and what for: one program a process.

    python benchmarks/ahead_programs.py CASE [FILE]       # CASE as in `ahead.jsonl`; FILE is for the program's text

Where the target's compiler can be imported. It prints one line of JSON.
"""

import dataclasses
import json
import math
import pathlib
import sys
import time
import unittest.mock

# Run as a script, its folder is where modules are looked for.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

from benchmarks.compiled_programs import Program

TARGETS = {  # the compiler, and the topology of so many devices; a single TPU is one of four
    "v5e": ("tpu", {1: "v5e:2x2", 4: "v5e:2x2", 16: "v5e:4x4", 256: "v5e:16x16"}),
    "v5p": ("tpu", {1: "v5p:2x2x1", 4: "v5p:2x2x1", 16: "v5p:2x2x4", 256: "v5p:4x8x8"}),
    "v6e": ("tpu", {1: "v6e:2x2", 4: "v6e:2x2", 16: "v6e:4x4", 256: "v6e:16x16"}),
    "h100": ("cuda", {1: "1x1x1", 4: "1x1x4", 16: "1x2x8", 256: "1x32x8"}),
}
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


@dataclasses.dataclass(frozen=True)
class Size:
    """Of a model and of its batches, in which each device has at least 16 rows."""

    units: int
    vocabulary: int
    layers: int = 2
    rows: int = 256
    time: int = 35
    chunk: int | None = None  # logits that are held at a time, where not as many as users have

    def batch(self, devices):
        return max(self.rows, 16 * devices)


SIZES = {
    "tiny": Size(128, 512, layers=1, rows=64, time=8, chunk=40 * 512),  # with four chunks of each of 4 devices' rows
    "small": Size(256, 1_000),
    "medium": Size(650, 10_000),
    "large": Size(1500, 33_278),
}
CELLS = {
    "peephole": dict(cell="lstm", cell_options={"peephole": True}),
    "plain": dict(cell="lstm"),  # cuDNN is asked for its memory while it is traced: without a GPU, the loop is taken
    "gru": dict(cell="gru"),
    "divided": dict(cell="lstm", cell_options={"peephole": True}),  # and its vocabulary over `SHARES` devices
}
SHARES = {"divided": 4}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def compiled(size, work, cell, precision, target, devices, text=None):
    """Compiles one program, and counts what it does."""
    import keras

    from keras_rnnlm.heads import cross_entropy
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    compiler, chips = TARGETS[target][0], devices_of(target, devices)
    size = SIZES[size]
    cross_entropy.CHUNK, batch = size.chunk or cross_entropy.CHUNK, size.batch(devices)
    options, shares = dict(dropout=0.3, seed=0, dtype=POLICIES[precision]), SHARES.get(cell, 1)
    vocabulary = -(-size.vocabulary // shares) * shares
    model = LanguageModel(vocabulary, size.units, size.layers, **CELLS[cell], **options)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(1.0), 0.25))
    model.optimizer.build(model.trainable_variables)
    model.reset_states(batch)
    place = Place(chips, shares)
    begun = time.perf_counter()
    # Paths are chosen by what JAX says that it computes on.
    with unittest.mock.patch("jax.default_backend", return_value={"cuda": "gpu"}.get(compiler, compiler)):
        lowered = PROGRAMS[work](model, place, batch, size.time).lower(lowering_platforms=(compiler,))
    traced, of_processor = time.perf_counter(), time.process_time()
    program = lowered.compile()
    seconds, of_processor = time.perf_counter() - traced, time.process_time() - of_processor
    if text:
        pathlib.Path(text).write_text(program.as_text())
    found, memory = Program(program.as_text()), program.memory_analysis()
    return {
        "seconds to trace": round(traced - begun, 1),
        "seconds to compile": round(seconds, 1),
        "seconds of processor": round(of_processor, 1),
        "arguments": memory.argument_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "flops": found.flops(),
        "gradient": sum(4 * math.prod(v.shape) for v in model.trainable_variables),
        "collectives": found.collectives(),
        "loops": found.loops(),
    }


def devices_of(target, count):
    from jax.experimental import topologies

    compiler, shapes = TARGETS[target]
    if compiler == "cuda":
        options = {"topology_name": "h100", "target_config": H100, "topology": shapes[count]}
    else:
        options = {"topology_name": shapes[count]}
    found = topologies.get_topology_desc(platform=compiler, **options).devices
    if count > 1 and len(found) != count:
        raise RuntimeError(f"The topology {shapes[count]} of {target} has {len(found)} devices")
    return found[:count]


class Place:
    """Where things lie on one device, or on several that train in parallel: shapes alone."""

    def __init__(self, chips, shares=1):
        import jax
        import keras
        import numpy as np

        from keras_rnnlm.distribution import BATCH, VOCABULARY, DataParallel, VocabularyParallel

        self.distribution, self.one = None, jax.sharding.SingleDeviceSharding(chips[0])
        if len(chips) > 1:
            names = [f"chip:{k}" for k in range(len(chips))]
            if shares > 1:
                self.distribution = VocabularyParallel(shares, devices=names, auto_shard_dataset=False)
                mesh = jax.sharding.Mesh(np.array(chips).reshape(-1, shares), (BATCH, VOCABULARY))
            else:
                self.distribution = DataParallel(devices=names, auto_shard_dataset=False)
                mesh = jax.sharding.Mesh(chips, (BATCH,))
            # Which Keras would make of the devices that are there.
            self.distribution.device_mesh._backend_mesh = mesh
            keras.distribution.set_distribution(self.distribution)

    def variable(self, v):
        import jax

        layout = self.one
        if self.distribution is not None:
            layout = self.distribution.get_variable_layout(v).backend_layout
        return jax.ShapeDtypeStruct(tuple(v.shape), v.value.dtype, sharding=layout)

    def rows(self, dtype, *shape):
        import jax

        layout = self.one
        if self.distribution is not None:
            layout = self.distribution.get_data_layout(shape).backend_layout
        return jax.ShapeDtypeStruct(shape, dtype, sharding=layout)


def train(model, place, batch, time):
    import jax

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([place.variable(v) for v in group] for group in groups)
    inputs = {"tokens": place.rows("int32", batch, time), "start": place.rows("bool", batch)}
    data = inputs, place.rows("int32", batch, time), place.rows("float32", batch, time)
    outputs = (None, jax.tree.map(lambda s: s.sharding, state))
    return jax.jit(model.train_step, donate_argnums=0, out_shardings=outputs).trace(state, data)


def step(model, place, batch, time):
    states = [place.rows("float32", batch, width) for width in model.stack.state_widths]
    return _reading(model, model.step, place, place.rows("int32", batch), states)


def forward(model, place, batch, time):
    return _reading(model, model, place, place.rows("int32", batch, time))


def _reading(model, method, place, *args):
    import jax
    import keras

    variables = list(model.variables)

    def stateless(values, *args):
        with keras.StatelessScope(state_mapping=list(zip(variables, values))):
            return method(*args)

    # What comes of a row stays with it.
    outputs = place.rows("float32", args[0].shape[0], 1).sharding
    return jax.jit(stateless, out_shardings=outputs).trace([place.variable(v) for v in variables], *args)


PROGRAMS = {"train": train, "step": step, "forward": forward}


if __name__ == "__main__":
    print(json.dumps(compiled(**json.loads(sys.argv[1]), text=sys.argv[2] if len(sys.argv) > 2 else None)))
