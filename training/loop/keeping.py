"""What a checkpoint of the loop holds, and how the loop goes back to one."""

import copy
import dataclasses
import math

from keras_rnnlm.belonging import other
from keras_rnnlm.recurrence import backend
from keras_rnnlm.training.loop.progress import Progress
from keras_rnnlm.training.runs.checkpoint_models import (
    check_same_kind,
    model_variables,
    optimizer_variables,
    taken_apart,
    values,
)


class Keeping:
    """Saves and restores a loop, which has what its names are: `model`, `optimizer`, `progress`, `checkpoints`, `team`.

    Attributes:
        saved: the progress in the checkpoint that the run continues from.
        saved_in: its path.
        generators: the states of the backend's generators of random numbers after the last step, see `random_states`.
    """

    saved = saved_in = None
    generators = {}

    def _variables(self):
        backend.synchronize(self.model)
        return model_variables(self.model) | optimizer_variables(self.optimizer)

    def save(self):
        """Writes a checkpoint, unless there is one of this very progress."""
        self._tick()
        if self.saved is not None and dataclasses.replace(self.saved, seconds=self.progress.seconds) == self.progress:
            return
        self.generators = backend.random_states()
        arrays = values(self._variables()) | self.generators
        # Newer ones are damaged, or led to nothing good. One of the same step is this one, with less done: were it to
        # stay, it would push out one that is known to be good.
        instead_of = self.checkpoints.newer_than(self.saved_in)
        if self.saved is not None and self.saved.step == self.progress.step:
            instead_of.append(self.saved_in)
        record = {**dataclasses.asdict(self.progress), "identity": self.identity}
        with self.team.waited_for():
            if self.team.is_first:
                self.checkpoints.write(self.progress.step, arrays, record, instead_of)
        self.saved, self.saved_in = copy.deepcopy(self.progress), self._of_first(self.checkpoints.path)
        self._tick()

    def _of_first(self, path):
        """The path that the first process has, or None."""
        name = self.team.told(None if path is None else path.name)
        return None if name is None else self.checkpoints.folder / name

    def restore(self, older_than=None):
        """Goes to the newest checkpoint that is whole, `older_than` a path; False where there is none."""
        found = None
        if self.team.is_first:
            self.folder.clear_partial()
            found = self.checkpoints.read(older_than=older_than)
            for line in self.checkpoints.damaged:
                self.display.warn(f"{line}. Going back to the one before it")
        path = self._of_first(None if found is None else self.checkpoints.path)
        if path is None:
            return False
        _, arrays, record = found or self.checkpoints.read_from(path)
        differs = other(record.pop("identity"), self.identity)
        if differs:
            raise ValueError(
                f"The checkpoints in {self.folder} were written with {differs}: resume with the one that the run began "
                "with, or start a new run with another --out"
            )
        variables = self._variables()
        arrays, self.generators = taken_apart(arrays)
        check_same_kind(variables, arrays, self.folder)
        for name, variable in variables.items():
            variable.assign(arrays[name])
        known = [field.name for field in dataclasses.fields(Progress)]
        self.progress = Progress(**{name: record[name] for name in known if name in record})
        is_gone = self.team.is_first and self.progress.best_step >= 0 and not self.folder.model_file.is_file()
        if self.team.told("gone" if is_gone else None):
            self.display.warn(f"{self.folder.model_file} is gone: the next validation, or the end, writes another")
            self.progress.best, self.progress.best_step = math.inf, -1
        self.saved, self.saved_in = copy.deepcopy(self.progress), path
        backend.set_random_states(self.generators)
        if self.team.is_first:
            self.folder.cut_history(self.progress.history)
        return True
