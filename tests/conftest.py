"""Set-up that must come before Keras is imported."""

import gc
import os
import subprocess
import sys

# XLA compiles thousands of small programs here: without the passes that cost the most, by its older writer of loops, in
# one module each. A process on Linux may map 65,530 pieces of memory, and XLA takes three a module for good.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
FEW_MODULES = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
COMPILES = {
    "tensorflow": "import tensorflow as tf; tf.function(lambda: tf.zeros(2), jit_compile=True)()",
    "jax": "import jax.numpy as jnp; jnp.zeros(2)",
}

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A GPU would round what it multiplies to ten bits: the bounds of the tests are float32's.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    # Processes that share the cores: more threads would only wait for each other.
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, threads)


def pytest_collection_modifyitems(config, items):
    """What takes longest is left out by default, as the combinations of `tests/cases.py` are."""
    if "tensorflow" in sys.modules and "PYTEST_XDIST_WORKER" in os.environ:
        forget_where_operators_are_made()
    if os.environ.get("KERAS_RNNLM_EVERY_CASE"):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
    items[:] = [item for item in items if not item.get_closest_marker("long")]


def forget_where_operators_are_made():
    """TensorFlow notes the stack at each operator, for its errors: a tenth of the time. With -n0 it does."""
    from tensorflow.python.util import tf_stack  # which the tests have imported

    somewhere = tf_stack.extract_stack()
    tf_stack.extract_stack = lambda stacklevel=1: somewhere


def pytest_configure(config):
    """Take the options of XLA that this version has: at one that it does not know it ends the process."""
    # Graphs are many small objects: looking for cycles took a tenth of the time.
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    gc.set_threshold(50_000, 20, 1_000_000 if backend == "tensorflow" else 50)
    compiles = COMPILES.get(backend)
    if "XLA_FLAGS" in os.environ or compiles is None:
        return
    for flags in (f"{QUICK} {FEW_MODULES}", QUICK):
        environment = {**os.environ, "XLA_FLAGS": flags}
        if subprocess.run([sys.executable, "-c", compiles], env=environment, capture_output=True).returncode == 0:
            os.environ["XLA_FLAGS"] = flags
            return
