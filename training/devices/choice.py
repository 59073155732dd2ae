"""What a run computes on, as the user names it, and what each backend can do."""

import contextlib
import dataclasses
import os
import sys

from keras_rnnlm.quiet import BACKENDS, import_keras
from keras_rnnlm.schema import is_count, is_whole
from keras_rnnlm.training.devices.together import Alone
from keras_rnnlm.training.loop.interrupts import ALL, STARTED

AUTO = "auto"  # the processes that a cluster tells JAX of


def arguments(parser):
    """The options of a command that trains."""
    group = parser.add_argument_group("devices and processes", "see docs/scaling.md")
    group.add_argument("--backend", metavar="NAME", help=f"Keras's: {', '.join(BACKENDS)} (default: as it is set)")
    group.add_argument("--devices", metavar="N|all", help="of each process (default: one; of several processes, all)")
    group.add_argument(
        "--shard-vocabulary",
        metavar="N",
        help="divide a vocabulary that is too large for one device over so many, on JAX; --devices is a multiple of "
        "them (default: as many)",
    )
    group.add_argument(
        "--processes",
        metavar="N|auto",
        help="that train together, on JAX: without what follows, this command starts them all here; auto: as SLURM, "
        "Open MPI or a TPU pod tells",
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where the first process listens")
    group.add_argument("--process", metavar="I", help="the number of this one, from 0")


def of(options):
    """The `Choice` that the options are."""
    words = {field.name: getattr(options, field.name) for field in dataclasses.fields(Choice)}
    numbers = ("devices", "shard_vocabulary", "processes", "process")
    return Choice(
        **{name: int(word) if name in numbers and word and word.isdecimal() else word for name, word in words.items()}
    )


@dataclasses.dataclass(frozen=True)
class Choice:
    """The options of the command `train`, and of the function.

    Args:
        backend: Keras's backend; None: the one that is set.
        devices: how many devices each process computes on, or "all". None: one, or all of a process of several, or
            as many as share a vocabulary.
        processes: how many processes train together, or "auto": as SLURM, Open MPI or a TPU pod tells JAX.
        coordinator: "HOST:PORT", the address at which the first process listens.
        process: the number of this process, from 0.
        shard_vocabulary: over how many devices the vocabulary's weights are divided; None: each has them all.
    """

    backend: str | None = None
    devices: int | str | None = None
    processes: int | str | None = None
    coordinator: str | None = None
    process: int | None = None
    shard_vocabulary: int | None = None

    def check(self):
        """Raises where the options contradict each other, or name what there is not."""
        if self.backend is not None and self.backend not in BACKENDS:
            raise ValueError(f"`backend` is one of {', '.join(BACKENDS)}. Received: backend={self.backend!r}")
        if not (self.devices in (None, "all") or is_count(self.devices)):
            raise ValueError(f'`devices` is a number, or "all". Received: devices={self.devices!r}')
        if not (self.shard_vocabulary is None or is_count(self.shard_vocabulary)):
            raise ValueError(
                "`shard_vocabulary` is how many devices a vocabulary is divided over, a number. "
                f"Received: shard_vocabulary={self.shard_vocabulary!r}"
            )
        if not (self.processes in (None, AUTO) or is_count(self.processes)):
            raise ValueError(f'`processes` is a number, or "auto". Received: processes={self.processes!r}')
        named = [name for name in ("coordinator", "process") if getattr(self, name) is not None]
        if named and (len(named) < 2 or not is_count(self.processes)):
            raise ValueError(
                "Each of several processes is told how many they are, where the first one listens and which it is: "
                "give `processes`, `coordinator` and `process`, all three. `processes` alone starts them all on this "
                f"machine. Received: processes={self.processes!r}, coordinator={self.coordinator!r}, "
                f"process={self.process!r}"
            )
        if named and not (is_whole(self.process, 0) and self.process < self.processes):
            raise ValueError(
                f"`process` is a number from 0 to {self.processes - 1}. Received: process={self.process!r}"
            )
        if named and not self.coordinator.rpartition(":")[2].isdecimal():
            raise ValueError(
                f"`coordinator` is HOST:PORT, such as 10.0.0.1:9900. Received: coordinator={self.coordinator!r}"
            )

        if self.shards > 1 and self.is_several:
            raise ValueError(
                "A vocabulary is divided over the devices of one process: drop --processes, or --shard-vocabulary. "
                f"Received: shard_vocabulary={self.shards}, processes={self.processes!r}"
            )

    @property
    def shards(self):
        """Over how many devices the vocabulary is divided."""
        return self.shard_vocabulary or 1

    @property
    def is_several(self):
        """Whether several processes train."""
        return self.processes not in (None, 1)

    @property
    def starts_processes(self):
        """Whether this process is to start the others."""
        return self.is_several and self.processes != AUTO and self.coordinator is None

    @property
    def is_of_the_first(self):
        """Whether it is that of the first process, where all have been joined."""
        if self.processes == AUTO:
            import jax

            return jax.process_index() == 0
        return self.process in (None, 0)

    def words(self):
        """Of the command line that trains so, each with a space before it."""
        names = ["backend", "devices", "shard_vocabulary", "processes", "coordinator", "process"]
        if ALL in os.environ.get(STARTED, ""):  # as a command starts it again
            names = names[:4]
        given = {name.replace("_", "-"): getattr(self, name) for name in names if getattr(self, name) is not None}
        return "".join(f" --{name} {value}" for name, value in given.items())

    @contextlib.contextmanager
    def in_use(self, how=""):
        """Computes there meanwhile; yields who trains, see `together`. `how` says how to resume."""
        self.check()
        self._set_backend()
        if (
            not self.is_several and self.devices in (None, 1) and self.shards == 1
        ):  # without Keras, which takes seconds to import
            yield Alone(how)
            return
        keras = import_keras()
        name = keras.backend.backend()
        if name == "jax":
            with self._jax(keras, how) as team:
                yield team
            return
        if self.is_several:
            raise ValueError(
                "Only JAX trains in several processes: take --backend jax, or one process. "
                f"Received: processes={self.processes!r} on {name}"
            )
        if self.shards > 1:
            raise ValueError(
                "Only JAX divides a vocabulary over devices: take --backend jax, or drop --shard-vocabulary. "
                f"Received: shard_vocabulary={self.shards} on {name}"
            )
        yield _replicas(how, self.devices) if name == "tensorflow" else _on_one_device(how, self.devices)

    def _set_backend(self):
        if self.backend is not None:
            keras = sys.modules.get("keras")
            if keras is None:
                os.environ["KERAS_BACKEND"] = self.backend
            elif keras.backend.backend() != self.backend:
                raise ValueError(
                    f"Keras runs on {keras.backend.backend()} in this process already: set "
                    f"KERAS_BACKEND={self.backend} before Keras is imported. Received: backend={self.backend!r}"
                )

    @contextlib.contextmanager
    def _jax(self, keras, how):
        from keras_rnnlm.distribution import DataParallel, VocabularyParallel
        from keras_rnnlm.training.devices import private_jax
        from keras_rnnlm.training.devices.together import Together

        store = None
        if self.is_several:
            if self.starts_processes:
                raise ValueError(
                    "A program in Python is one of several processes: give `coordinator` and `process`, too, or have "
                    f"the command line start them: keras-rnnlm train ... --processes {self.processes}"
                )
            store = private_jax.join(self.processes, self.coordinator, self.process)
        devices = _devices_of_each(self.shards if self.shards > 1 and self.devices is None else self.devices)
        if len(devices) % self.shards:
            raise ValueError(
                f"A vocabulary that is divided over {self.shards} devices takes a multiple of {self.shards}: give "
                f"`devices` such a number. Received: devices={self.devices!r}, which are {len(devices)}"
            )
        if len(devices) == 1:
            yield Alone(how)
            return
        if self.shards > 1:
            distribution = VocabularyParallel(self.shards, devices, auto_shard_dataset=False)
        else:
            distribution = DataParallel(devices=devices, auto_shard_dataset=False)
        team = Alone(how, len(devices) // self.shards)
        if store is not None and store.count > 1:
            team = Together(store, how, len(devices), int(os.environ.get(STARTED, "0").split()[0]))
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(distribution)
        try:
            with team.lives():
                yield team
        finally:
            keras.distribution.set_distribution(before)


def _devices_of_each(wanted):
    """The names of so many devices of each process, as Keras has them; None and "all": all."""
    import jax

    of = {}
    for device in jax.devices():
        of.setdefault(device.process_index, []).append(f"{device.platform}:{device.id}")
    least = min(map(len, of.values()))
    if wanted not in (None, "all") and wanted > least:
        raise ValueError(_too_many(wanted, least, f"JAX has {least} {jax.default_backend()} device(s) in a process"))
    return [name for names in of.values() for name in (names if wanted in (None, "all") else names[:wanted])]


def _replicas(how, wanted):
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if wanted != "all" and wanted > len(found):
        raise ValueError(_too_many(wanted, len(found), f"TensorFlow has {len(found)} {found[0].device_type} device(s)"))
    names = [device.name for device in found][: None if wanted == "all" else wanted]
    if len(names) == 1:
        return Alone(how)
    return Alone(how, len(names), tf.distribute.MirroredStrategy(names).scope)


def _on_one_device(how, wanted):
    if wanted != "all" or _gpus_of_torch() > 1:
        raise ValueError(
            "PyTorch trains on one device here: take --backend jax or --backend tensorflow for several, or drop "
            f"--devices. Received: devices={wanted!r}"
        )
    return Alone(how)


def _gpus_of_torch():
    import torch

    return torch.cuda.device_count()


def _too_many(wanted, found, there):
    return f'`devices` is how many a process computes on: at most {found} here, or "all". {there}. Received: {wanted}'
