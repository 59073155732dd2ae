"""The backend's own fused kernels (cuDNN, PyTorch's for processors), for the recurrences that have one."""

from keras import ops

from keras_rnnlm.cells import private_keras
from keras_rnnlm.recurrence import backend

NO_GPU = "there is no GPU"


def wanted(layer):
    """The layer's `use_cudnn`: True, False or "auto", which is all that a layer without this argument knows."""
    return getattr(layer, "use_cudnn", "auto")


def obstacles(layer, mask=None, platform=None):
    """Why cuDNN cannot run the layer: a list of reasons, empty where it can. None: on this machine."""
    cell = layer.cell
    has_gpu = backend.has_gpu() if platform is None else platform == "cuda"
    reasons = [] if has_gpu else [NO_GPU]
    reasons += cell.beyond_cudnn()
    if cell.fused_kernel and "fused_kernel" not in vars(type(cell)):
        reasons.append(f"{type(cell).__name__} may have equations of its own")
    if wanted(layer) is False:
        reasons.append("use_cudnn=False")
    if layer.unroll:
        reasons.append("unroll=True")
    if layer.return_trace:
        reasons.append("return_trace=True")
    if layer.remat:
        reasons.append("remat=True")
    if any(cell.zoneout_rates()):
        reasons.append("zoneout")
    if cell.mogrifier:
        reasons.append("mogrifier")
    if cell.recurrent_dropout:
        reasons.append("recurrent_dropout")
    if mask is not None:
        reasons.append("a mask: cuDNN takes right padding only")
    if wanted(layer) is not True and (count := backend.shards()) > 1:
        reasons.append(f"batches are divided over {count} devices, each of which would compute all rows by cuDNN")
    return reasons + backend.beyond_cudnn(cell.fused_kernel, layer.compute_dtype)


def kernel_for(layer, mask=None, platform=None):
    """Which fused kernel runs the layer: "cudnn", "torch", PyTorch's own for processors, or None."""
    reasons = obstacles(layer, mask, platform)
    if not reasons:
        return "cudnn"
    if platform == "tpu":
        return None
    known = layer.compute_dtype == layer.variable_dtype in ("float32", "float64")
    return "torch" if backend.own_kernel and known and reasons == [NO_GPU] else None


def run(layer, by, sequences, states, training, loop):
    """`(output, states, trace)` by that kernel, or None where the backend refuses after all.

    `loop()` gives the same by the layer's own loop, for a program that may be for another platform than this machine's;
    but not where masks were drawn, which the loop would draw once more, nor where `use_cudnn` is True.
    """
    cell = layer.cell
    if training and cell.dropout:
        sequences = sequences * private_keras.dropout_mask(cell, sequences[:, 0, :], cell.dropout)[:, None]
    given = dict(kernel=cell.kernel, recurrent_kernel=cell.recurrent_kernel, bias=cell.bias)
    if training and cell.weight_drop:
        dropped = cell.read_weights(training)["recurrent_kernel"]
        given["recurrent_kernel"] = ops.cast(dropped, cell.variable_dtype)
    if by == "torch":
        weights = [ops.convert_to_tensor(weight) for weight in given.values()]
        outputs, after = backend.own_kernel(cell.fused_kernel, sequences, states, *weights)
        return outputs if layer.return_sequences else outputs[:, -1], after, {}
    kernel = getattr(private_keras.kernels, cell.fused_kernel)
    # Under a policy of half precision Keras hands the variables over as they are stored.
    given = {
        name: weight if weight is None else ops.cast(weight, layer.compute_dtype) for name, weight in given.items()
    }
    given |= dict(activation=cell.activation, recurrent_activation=cell.recurrent_activation)
    given |= dict(return_sequences=layer.return_sequences, go_backwards=False, unroll=False)
    if cell.fused_kernel == "gru":
        given["reset_after"] = cell.reset_after
    compute = [ops.cast(state, layer.compute_dtype) for state in states]

    def cudnn():
        last, outputs, after = kernel(sequences, *compute, None, **given)
        after = [ops.cast(a, state.dtype) for a, state in zip(after, states)]
        return outputs if layer.return_sequences else last, after, {}

    try:
        drawn = training and (cell.dropout or cell.weight_drop)
        if drawn or wanted(layer) is True:
            return cudnn()
        return backend.by_platform(cudnn, loop, sequences)
    except NotImplementedError:
        return None
