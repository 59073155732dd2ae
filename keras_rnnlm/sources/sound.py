"""Recordings, as the logarithms of their energies in bands of pitch."""

import wave

import numpy as np

from keras_rnnlm.schema import is_count
from keras_rnnlm.sources.source import Source

WINDOW, HOP = 0.025, 0.010  # seconds
FLOOR, MIDDLE, SCALE = 1e-6, 7.0, 4.0  # silence is (log(FLOOR) + MIDDLE) / SCALE, speech around zero
SILENT = 1e-12  # energy
PART = 4096  # frames whose spectra are in memory at a time


class Sound(Source):
    """Frames, (time, mels), a hundred a second: log energies in bands that are equally wide to the ear.

    They are relative to the largest energy of the recording: how loud it is plays no part.
    Files are WAV, mono or of channels that are averaged, of 8 to 32 bits; of another rate, they are resampled. Or
    `.npy`, with the frames. No frame of a recording is all zeros, not even in silence: that is padding.

    Args:
        rate: samples a second.
        mels: the number of bands.

    >>> sound = Sound(rate=8000, mels=20)
    >>> sound.frames(np.sin(np.arange(4000))).shape
    (48, 20)
    """

    kind = "sound"
    suffixes = (".wav",)

    def __init__(self, rate=16000, mels=40):
        if not is_count(rate) or rate < 1000 or not is_count(mels) or mels > rate * WINDOW / 2:
            raise ValueError(
                "A recording has a `rate`, at least 1,000 samples a second, and `mels` bands, at most as many as that "
                f"can tell apart, {WINDOW / 2} of it. Received: rate={rate!r}, mels={mels!r}"
            )
        self.rate, self.mels, self.shape = int(rate), int(mels), (None, int(mels))
        self._bands = _bands(self.rate, self.mels)

    @property
    def takes(self):
        return f"Recordings are frames, (time, {self.mels}), of at least one: see `keras_rnnlm.sources.Sound.frames`"

    def description(self):
        return {"kind": self.kind, "rate": self.rate, "mels": self.mels}

    @classmethod
    def of_first(cls, path, mels=40):
        """The source that a first recording shows: of its rate."""
        if str(path).endswith(".npy"):
            raise ValueError(f"Frames do not say what rate they are of: name a WAV file first, before {path}")
        return cls(_samples(path)[1], mels)

    def read(self, path):
        found = self.of_file(path)
        if found is not None:
            return found.astype("float32")
        samples, rate = _samples(path)
        if not len(samples):
            raise ValueError(f"{path} holds no sound at all")
        return self.frames(resampled(samples, rate, self.rate))

    def frames(self, samples):
        """The frames of samples, numbers from -1 to 1, at the rate of this source."""
        samples = np.asarray(samples, "float32")
        size, hop = round(WINDOW * self.rate), round(HOP * self.rate)
        samples = np.pad(samples, (0, max(0, size - len(samples))))
        framed = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        shape, found = np.hanning(size).astype("float32"), []
        for first in range(0, len(framed), PART):
            spectrum = np.fft.rfft(framed[first : first + PART] * shape, _power_of_two(size))
            found.append((np.abs(spectrum / shape.sum()) ** 2) @ self._bands)
        energies = np.concatenate(found)
        energies = energies / max(energies.max(), SILENT)
        return ((np.log(energies + FLOOR) + MIDDLE) / SCALE).astype("float32")

    def example(self, size):
        """Frames that are the same everywhere, to compare models on."""
        return np.sin(0.37 * np.arange(1, 1 + size * self.mels)).reshape(size, self.mels).astype("float32")


def resampled(samples, rate, wanted):
    """Samples at another rate, without what that rate cannot hold.

    >>> resampled(np.ones(100), 44100, 22050).shape
    (50,)
    """
    if rate == wanted:
        return samples
    size = max(1, round(len(samples) * wanted / rate))
    return (np.fft.irfft(np.fft.rfft(samples), size) * (size / len(samples))).astype("float32")


def _samples(path):
    """The samples of a WAV file, from -1 to 1, its channels averaged, and how many there are a second."""
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}") from error
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "it ends too early"
        raise ValueError(f"{path} is no WAV file of whole numbers (PCM), which alone are read: {reason}") from error
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), "uint8")
        wide[:, 1:] = np.frombuffer(data, "uint8").reshape(-1, 3)
        found = wide.view("<i4")[:, 0] / 2.0**31
    elif width == 1:
        found = np.frombuffer(data, "uint8") / 128.0 - 1
    else:
        found = np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)
    return found.reshape(-1, channels).mean(axis=1).astype("float32"), rate


def _power_of_two(size):
    return 1 << (size - 1).bit_length()


def _bands(rate, mels):
    """Triangles, (frequencies, mels), whose corners are equally far apart to the ear."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    places = np.fft.rfftfreq(_power_of_two(round(WINDOW * rate)), 1 / rate)[:, None]
    rising = (places - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - places) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype("float32")
