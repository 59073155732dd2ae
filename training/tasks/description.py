"""Description: pictures in, with what is written of them. And what all tasks share whose sources are no text."""

from keras_rnnlm.schema import is_a, is_count
from keras_rnnlm.training.recipes.rules import NOT_NEGATIVE, Rule, optional, setting
from keras_rnnlm.training.tasks.task import Data
from keras_rnnlm.training.tasks.translation import (
    Translation,
    check_vocabulary,
    read_splits,
    tokenizer_of,
)

SHAPE = Rule(
    "height, width and channels, such as [64, 64, 1]",
    lambda value: isinstance(value, (list, tuple)) and len(value) == 3 and all(map(is_count, value)),
    list,
)
FILTERS = Rule(
    "a list of numbers, such as [32, 64, 128]",
    lambda value: isinstance(value, (list, tuple)) and len(value) > 0 and all(map(is_count, value)),
    list,
)
OF_TEXT = ("format", "stress", "source_tokenizer", "source_column", "target_column")


class OfFiles(Translation):
    """The vocabulary is a `TargetVocabulary`, and a split `Described`. A subclass is one kind of sources."""

    settings = {name: given for name, given in Translation.settings.items() if name not in OF_TEXT}
    text_settings = tuple(name for name in Translation.text_settings if name not in OF_TEXT)
    free_settings = tuple(name for name in Translation.free_settings if name not in OF_TEXT)
    retired_settings = ("source_column", "target_column")
    settings |= {
        "doubly_stochastic": setting(
            0.0, "factor of a penalty on places that symbols attend to more or less than once", NOT_NEGATIVE
        ),
    }

    def source_of_first(self, path, recipe):
        """The `keras_rnnlm.sources.Source` of a run, where a first file shows what no setting says."""
        raise NotImplementedError

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.text import TargetVocabulary
        from keras_rnnlm.training.corpora import described, manifests

        def read(paths):
            paths = [paths] if is_a(paths, str) or not isinstance(paths, (list, tuple)) else paths
            return [pair for path in paths for pair in manifests.read_manifest(path, recipe.encoding)]

        texts = read_splits(given, recipe, read)
        if first is not None:
            vocabulary = first.read_vocabulary(self.vocabulary_class)
        else:
            display.say(f"learning a vocabulary ({recipe.tokenizer})")
            target = tokenizer_of(recipe.tokenizer, [text for _, text in texts["train"]], recipe)
            vocabulary = TargetVocabulary(self.source_of_first(texts["train"][0][0], recipe), target)
        display.say(f"reading {sum(map(len, texts.values())):,} files")
        described.write(folder.data, texts, vocabulary)
        vocabulary.save(folder.path)
        return self.after_telling(self.restore(recipe, folder, display), recipe, display)

    def restore(self, recipe, folder, display):
        from keras_rnnlm.training.corpora import described

        vocabulary = self.vocabulary(folder)
        splits, fingerprints = described.read(folder.data, vocabulary.source)
        check_vocabulary(vocabulary, fingerprints, folder)
        return Data(splits, vocabulary, fingerprints)

    def describe(self, data):
        valid = len(data.splits["valid"]) if "valid" in data.splits else 0
        return (
            f"{len(data.splits['train']):,} examples to learn from, {valid:,} to validate on; "
            f"{data.vocabulary.sizes['target']:,} symbols"
        )

    def limits(self, recipe):
        return super().limits(recipe) | {"longest_source": self.most(recipe)}

    def most(self, recipe):
        """The longest source that is learned from; None: there is no limit."""
        return None

    def check_model(self, model, vocabulary, folder):
        super().check_model(model, vocabulary, folder)
        if model.source is None or model.source.description() != vocabulary.source.description():
            raise ValueError(f"{folder.model_file} takes other sources than {folder.path / vocabulary.FILES[0]} says")

    def read_split(self, text, encoding, recipe, vocabulary):
        from keras_rnnlm.training.corpora import described, manifests

        return described.encoded(manifests.read_manifest(text, encoding), vocabulary)


class Description(OfFiles):
    """Pictures."""

    settings = OfFiles.settings | {
        "shape": setting(None, "{}: others are scaled; none: as the first", optional(SHAPE)),
        "filters": setting([32, 64, 128], "of the convolutions, {}: each halves the picture", FILTERS),
    }

    def source_of_first(self, path, recipe):
        from keras_rnnlm.sources import Image

        shape = recipe.task_settings["shape"]
        return Image.of_first(path) if shape is None else Image(shape)

    def encoder(self, recipe, vocabulary):
        shape, filters = list(vocabulary.source.shape), recipe.task_settings["filters"]
        return {"encoder": "image", "encoder_options": {"shape": shape, "filters": filters}}
