"""Pictures of one size."""

import numpy as np

from keras_rnnlm.schema import is_count
from keras_rnnlm.sources.source import Source

GREY = ("1", "L", "LA")  # of Pillow's modes
BILINEAR = 2  # as Pillow numbers it; where a picture shrinks, all of its pixels count


class Image(Source):
    """Pictures, (height, width, channels): bytes, or numbers from 0 to 1. They are kept as bytes.

    Files are whatever Pillow reads, and what is of another size is scaled; or `.npy` of this very shape.

    Args:
        shape: height, width and channels: 1, grey, or 3, colours. Arrays may have other channels.

    >>> image = Image([2, 2, 1])
    >>> image.filled([image.array(np.full((2, 2, 1), 255, "uint8"))]).max()
    np.float32(1.0)
    """

    kind = "image"
    suffixes = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

    def __init__(self, shape):
        if not isinstance(shape, (list, tuple)) or len(shape) != 3 or not all(map(is_count, shape)):
            raise ValueError(f"A picture's `shape` is its height, width and channels. Received: shape={shape!r}")
        self.shape = tuple(map(int, shape))

    @property
    def takes(self):
        height, width, channels = self.shape
        return f"Pictures are bytes, or numbers from 0 to 1, {height} high, {width} wide, of {channels} channels"

    def description(self):
        return {"kind": self.kind, "shape": list(self.shape)}

    @classmethod
    def of_first(cls, path):
        """The source that a first picture shows: as large, with its colours."""
        if str(path).endswith(".npy"):
            found = cls.loaded(path)
            return cls(found.shape if found.ndim == 3 else [*found.shape, 1])
        picture = _opened(path)
        return cls([picture.height, picture.width, 1 if picture.mode in GREY else 3])

    def read(self, path):
        found = self.of_file(path)
        if found is None:
            height, width, channels = self.shape
            if channels not in (1, 3):
                raise ValueError(f"{path}: pictures of {channels} channels come as .npy alone")
            picture = _opened(path).convert("L" if channels == 1 else "RGB")
            if picture.size != (width, height):
                picture = picture.resize((width, height), BILINEAR)
            found = np.asarray(picture, "uint8").reshape(self.shape)
        if found.dtype == np.uint8:
            return found
        return np.rint(255 * found).astype("uint8")

    def array(self, given):
        given = np.asarray(given)
        found = super().array(given[..., None] if given.ndim == 2 and self.shape[2] == 1 else given)
        if found.dtype != np.uint8 and found.size and not (0 <= found.min() and found.max() <= 1):
            raise ValueError(f"{self.takes}. Received: {found.dtype} from {found.min():g} to {found.max():g}")
        return found

    def numbers(self, source):
        source = np.asarray(source)
        return source.astype("float32") / 255 if source.dtype == np.uint8 else source.astype("float32")

    def length(self, source):
        return 1

    def example(self, size):
        """A picture that is the same everywhere, to compare models on."""
        return (0.5 + 0.5 * np.sin(0.37 * np.arange(np.prod(self.shape)))).reshape(self.shape).astype("float32")


def _opened(path):
    try:
        import PIL.Image
    except ImportError as error:
        raise ValueError(f"Pillow reads {path}: pip install pillow, or bring the picture as .npy") from error
    try:
        with PIL.Image.open(path) as picture:
            picture.load()
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}") from error
    except Exception as error:  # of Pillow's many kinds
        raise ValueError(f"{path} is no picture that can be read: {' '.join(str(error).split())}") from error
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"{path} has more than 8 bits a colour ({picture.mode}): bring it as .npy, from 0 to 1")
    return picture
