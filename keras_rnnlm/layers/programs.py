"""The loop of a recurrent layer as a function of tensors alone: what is compiled, and what equal layers share of it."""

import keras
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.cells.recurrent_cell import RecurrentCell


class Programs:
    """The compiled functions of a layer, kept out of Keras's sight: they are neither weights nor configuration."""

    def __init__(self):
        self.made = {}

    def get(self, settings, make):
        if settings not in self.made:
            self.made[settings] = make()
        return self.made[settings]

    def __deepcopy__(self, memo):
        return Programs()

    def __reduce__(self):
        return (Programs, ())


def time_major(tensor):
    """(batch, time, ...) from (time, batch, ...), and back."""
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))


def program_of(layer, return_sequences, unroll, return_trace, plain, zoned, remat):
    """The loop as a function of tensors alone."""
    cell, named = layer.cell, return_trace if isinstance(return_trace, tuple) else ()

    def program(tensors):
        w, mask = tensors["weights"], tensors.get("mask")
        x, projection = time_major(tensors["sequences"]), None
        if (
            cell.only_adds_x
            and (type(cell).read, type(cell).project) == (RecurrentCell.read, RecurrentCell.project)
            and not {"dropout", "recurrent_dropout"} & tensors.keys()
            and (remat or recurrence.backend.projects_in_the_loop(x, w["kernel"]))
        ):
            bias = cell.input_bias(w)
            projection = {"kernel": w["kernel"]} | ({} if bias is None else {"bias": bias})
        else:
            x = cell.read(x, w, tensors.get("dropout"))
        step, kernels, parameters, constants = cell.recurrence(w, tensors.get("recurrent_dropout"), zoned)
        how = zoned, "recurrent_dropout" in tensors, recurrence.backend.is_compiled()
        keeps = recurrence.backend.keeps_programs()
        equations, lasting = (cell.equations(), cell.lasting_equations()) if keeps else (None, None)

        def loops(settings):
            """Those of equal layers: of the stack, or of the whole process, where they then hold no layer."""

            def make():
                return recurrence.Loops(step, *settings)

            def make_without_weights():
                alone, _, _, _ = cell.without_weights().recurrence(w, tensors.get("recurrent_dropout"), zoned)
                return recurrence.Loops(alone, *settings)

            if equations is None:
                return None
            key = (equations, *how, *settings)
            if lasting is None:
                return layer.loops.get(key, make)
            return layer.loops.get(key, lambda: recurrence.shared(key, make_without_weights))

        sequences, states, notes = recurrence.run(
            step,
            x,
            tensors["states"],
            kernels,
            parameters,
            constants,
            projection=projection,
            mask=None if mask is None else keras.tree.map_structure(time_major, mask),
            reads=tensors.get("reads"),
            noise=keras.tree.map_structure(time_major, tensors["noise"]) if "noise" in tensors else None,
            emit=(0,) * return_sequences + named,
            unroll=unroll,
            plain=plain,
            trace=return_trace is True,
            remat=remat,
            loops=loops,
        )
        notes |= dict(zip(named, sequences[len(sequences) - len(named) :]))
        notes = {name: time_major(value) for name, value in notes.items()}
        return time_major(sequences[0]) if return_sequences else states[0], states, notes

    return program
