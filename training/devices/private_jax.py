"""All that is taken of the private parts of JAX. tests/test_private.py says what breaks.

`jax.distributed` keeps texts by key for all processes, and has no public functions for that.
"""

import os

import jax

from keras_rnnlm import quiet

PATIENCE = 3600  # seconds that a process may be silent before JAX ends the others: `Together` does so earlier
_runs = iter(range(10**9))  # of this process; all count alike


def join(processes, coordinator, process):
    """Connects this process with the others: a `Store`. `processes` may be "auto"."""
    if not jax.distributed.is_initialized():
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
        given = {} if coordinator is None else dict(num_processes=processes, process_id=process)
        try:
            jax.distributed.initialize(coordinator, heartbeat_timeout_seconds=PATIENCE, **given)
        except (RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            way = "give --processes, --coordinator and --process" if coordinator is None else "look at --coordinator"
            raise ValueError(f"The processes did not find each other: {way}. JAX says: {said}") from error
        _first_collective()
    state = _state()
    return Store(state.client, state.process_id, state.num_processes, next(_runs))


class Store:
    """Texts by key, the same for all processes of a run.

    Attributes:
        index, count: the number of this process, and how many there are. The first one keeps the texts.
    """

    def __init__(self, client, index, count, run):
        self._client, self.index, self.count, self._prefix = client, index, count, f"keras_rnnlm/{run}/"

    def put(self, key, text):
        self._client.key_value_set(self._prefix + key, text, allow_overwrite=True)

    def get(self, key, seconds):
        """The text, or None where there is none after so many seconds."""
        try:
            return self._client.blocking_key_value_get(self._prefix + key, int(1000 * seconds))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" in str(error):
                return None
            raise

    def under(self, folder):
        """All texts whose keys begin with `folder/`, by the rest of the key."""
        prefix = f"{self._prefix}{folder}/"
        return {key.removeprefix(prefix): text for key, text in self._client.key_value_dir_get(prefix)}

    def forget(self, key):
        self._client.key_value_delete(self._prefix + key)


def _state():
    from jax._src.distributed import global_state

    return global_state


def _first_collective():
    """Between processors, the first one says on the standard output that it is one."""
    from jax.experimental import multihost_utils

    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        with quiet.standard_error():
            os.dup2(null, 1)
            multihost_utils.sync_global_devices("keras_rnnlm")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)
