"""The heads that have a name, small, and what they are by their definitions, in numpy."""

import keras
import numpy as np
from keras import ops

from keras_rnnlm.heads import by_name
from keras_rnnlm.models import LanguageModel

VOCABULARY, UNITS = 23, 6

# By a name of the case: the head, its settings, and whether it reads the embedding's table.
CASES = {
    "full": ("full", {}, False),
    "projected": ("projected", {"width": 4}, False),
    "projected, tied": ("projected", {}, True),
    "adaptive": ("adaptive", {"cutoffs": [5, 12], "div_value": 2}, False),
    "adaptive, any order": ("adaptive", {"cutoffs": [4], "order": "frequencies"}, False),
    "adaptive, tied": ("adaptive", {"cutoffs": [5, 12]}, True),
    "adaptive, tied, any order": ("adaptive", {"cutoffs": [5, 12], "order": "frequencies", "use_bias": False}, True),
    "sampled": ("sampled", {"num_sampled": 9}, False),
    "sampled, tied": ("sampled", {"num_sampled": 9, "proposal": "log_uniform"}, True),
    "mixture": ("mixture", {"components": 3, "width": 4}, False),
    "mixture, tied": ("mixture", {"components": 2}, True),
}
NARROW = ("projected, tied", "mixture, tied")
# Of each kind, for what takes its time.
FEW = ("projected, tied", "adaptive, any order", "adaptive, tied", "sampled", "mixture, tied")


def frequencies(seed=3):
    return np.random.default_rng(seed).dirichlet(np.ones(VOCABULARY))


def randomized(weights, seed=0):
    rng = np.random.default_rng(seed)
    for weight in weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)


def head_of(case, dtype="float32", **changed):
    """A head that is built, with random weights, and its embedding, or None."""
    name, options, tied = CASES[case]
    head = by_name.head_from(name, VOCABULARY, {**options, **changed}, dtype=dtype)
    embedding = None
    if tied:
        embedding = keras.layers.Embedding(VOCABULARY, 4 if case in NARROW else UNITS, dtype=dtype)
        embedding.build((None,))
        head.tie(embedding)
    head.build((None, None, UNITS))
    if head.reads_frequencies:
        head.read_frequencies(np.sort(frequencies())[::-1] if "any" not in case else frequencies())
    randomized([*head.trainable_weights, *([embedding.embeddings] if tied else [])])
    return head, embedding


def weights_of(head, embedding):
    return [*head.trainable_weights, *([] if embedding is None else [embedding.embeddings])]


def model_of(case, seed=0, **more):
    name, options, tied = CASES[case]
    more = {"cell_options": {"unroll": True}} | more
    more |= {"embedding_dim": 4} if case in NARROW else {}
    model = LanguageModel(
        VOCABULARY, UNITS, 1, "simple_rnn", tied=tied, head=name, head_options=options, seed=seed, **more
    )
    if "any order" in case:
        model.head.read_frequencies(frequencies())
    randomized(model.trainable_weights, seed)
    return model


def features_and_targets(rows=(4, 5), seed=1):
    rng = np.random.default_rng(seed)
    weights = rng.random(rows).astype("float32") * (rng.random(rows) < 0.8)
    features = rng.normal(size=(*rows, UNITS)).astype("float32")
    return features, rng.integers(0, VOCABULARY, rows).astype("int32"), weights


def probabilities(case, head, embedding, features):
    """What a head is by its definition, one number after the other."""
    w = {weight.name: np.float64(ops.convert_to_numpy(weight)) for weight in head.weights}
    table = w.get("kernel") if embedding is None else np.float64(ops.convert_to_numpy(embedding.embeddings))
    features = np.float64(features)
    if head_name(case) in ("full", "sampled", "projected"):
        read = features @ w["projection"] if "projection" in w else features
        return softmax(read @ table.T + w["bias"])
    if head_name(case) == "mixture":
        shares, width = softmax(features @ w["prior"]), table.shape[1]
        z = np.tanh(features @ w["projection"] + w["projection_bias"])
        parts = [softmax(z[..., k * width : (k + 1) * width] @ table.T + w["bias"]) for k in range(head.components)]
        return sum(shares[..., k : k + 1] * part for k, part in enumerate(parts))
    order = np.arange(VOCABULARY)
    if head.order == "frequencies":
        order = np.argsort(-frequencies(), kind="stable")
        table = table if table is None else table[order]
    first, found = head.cutoffs[0], np.zeros((*features.shape[:-1], VOCABULARY))
    kernel = w["head_kernel"] if embedding is None else np.concatenate([table[:first], w["cluster_kernel"]])
    in_head = softmax(features @ kernel.T + w.get("head_bias", 0))
    found[..., order[:first]] = in_head[..., :first]
    for k, (begin, end) in enumerate(zip(head.cutoffs, [*head.cutoffs[1:], VOCABULARY])):
        logits = (
            features @ w[f"projection_{k}"] @ w[f"kernel_{k}"].T if embedding is None else features @ table[begin:end].T
        )
        inside = softmax(logits + w.get(f"bias_{k}", 0))
        found[..., order[begin:end]] = inside * in_head[..., first + k : first + k + 1]
    return found


def head_name(case):
    return CASES[case][0]


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
