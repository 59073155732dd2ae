"""Sources that are no text: what is read of WAV files and pictures, and what is refused."""

import wave

import numpy as np
import pytest
from PIL import Image as Pillow

from keras_rnnlm import sources
from keras_rnnlm.sources import Image, Sound
from keras_rnnlm.sources.sound import resampled


def write_wav(path, samples, rate=8000, width=2, channels=1):
    """Samples from -1 to 1 as whole numbers of so many bytes."""
    numbers = np.rint(np.asarray(samples) * (2.0 ** (8 * width - 1) - 1)).astype("<i4")
    if width == 1:
        data = (numbers + 128).astype("uint8").tobytes()
    else:
        data = numbers[:, None].view("uint8").reshape(len(numbers), 4)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels), file.setsampwidth(width), file.setframerate(rate)
        file.writeframes(data)
    return path


def tone(pitch, seconds=0.5, rate=8000):
    return 0.4 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)


def test_a_higher_tone_lies_in_a_higher_band_and_how_loud_it_is_plays_no_part():
    sound, loudest = Sound(8000, 20), []
    for pitch in (200, 400, 800, 1600, 3200):
        frames = sound.frames(tone(pitch))
        assert frames.shape == (48, 20)
        np.testing.assert_allclose(sound.frames(0.05 * tone(pitch)), frames, atol=1e-4)
        loudest.append(int(frames.mean(axis=0).argmax()))
    assert loudest == sorted(set(loudest)), loudest
    centre = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 22)[1:-1] / 2595) - 1)  # in hertz
    assert abs(centre[loudest[2]] - 800) < 100


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_recording_is_the_same_in_any_width_and_on_two_channels(width, tmp_path):
    sound, samples = Sound(8000, 20), tone(600)
    wanted = sound.frames(samples)
    loud = wanted.mean(axis=0) > 0  # elsewhere the smallest width is heard
    one = sound.read(write_wav(tmp_path / "one.wav", samples, width=width))
    two = sound.read(write_wav(tmp_path / "two.wav", np.repeat(samples, 2), width=width, channels=2))
    np.testing.assert_allclose(one[:, loud], wanted[:, loud], atol=0.05 if width == 1 else 1e-3)
    np.testing.assert_allclose(two, one, atol=1e-5)


def test_a_recording_of_another_rate_is_resampled(tmp_path):
    sound = Sound(8000, 20)
    for rate in (16000, 22050, 6000):
        found = sound.read(write_wav(tmp_path / f"{rate}.wav", tone(700, rate=rate), rate=rate))
        assert found.shape == (48, 20)
        loud = sound.frames(tone(700)).mean(axis=0) > 0
        np.testing.assert_allclose(found[5:-5, loud], sound.frames(tone(700))[5:-5, loud], atol=0.05)
    assert np.abs(resampled(tone(3000, rate=16000), 16000, 4000)).max() < 0.05  # what that rate cannot hold


def test_silence_is_no_padding_and_a_moment_is_a_frame(tmp_path):
    sound = Sound(8000, 20)
    silent = sound.read(write_wav(tmp_path / "silent.wav", np.zeros(4000)))
    assert silent.shape == (48, 20) and np.isfinite(silent).all() and silent.any(axis=1).all()
    assert sound.read(write_wav(tmp_path / "short.wav", tone(500, 0.001))).shape == (1, 20)
    filled = sound.filled([silent, silent[:3]], rows=3, time=50)
    assert filled.shape == (3, 50, 20) and not filled[1, 3:].any() and not filled[2].any()


def test_pictures_are_scaled_to_the_size_and_arrays_must_have_it(tmp_path):
    image, large = Image([4, 6, 1]), np.zeros((8, 12), "uint8")
    large[:4, :6] = 255
    Pillow.fromarray(large).save(tmp_path / "large.png")
    found = image.read(tmp_path / "large.png")
    assert found.shape == (4, 6, 1) and found.dtype == np.uint8 and found[0, 0] == 255 and found[3, 5] == 0
    np.save(tmp_path / "same.npy", found / 255)
    np.testing.assert_array_equal(image.read(tmp_path / "same.npy"), found)
    assert image.filled([found]).max() == 1.0
    Pillow.fromarray(np.zeros((4, 6, 3), "uint8")).save(tmp_path / "colours.png")
    assert Image.of_first(tmp_path / "colours.png").shape == (4, 6, 3)
    assert Image.of_first(tmp_path / "large.png").shape == (8, 12, 1)
    np.save(tmp_path / "other.npy", large)
    with pytest.raises(ValueError, match="other.npy: Pictures are bytes.*4 high, 6 wide.*Received: uint8 of shape"):
        image.read(tmp_path / "other.npy")
    with pytest.raises(ValueError, match="Received: float64 from 0 to 255"):
        image.array(255.0 * (found > 0))


def test_a_file_that_cannot_be_read_is_told_in_a_line(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "text.png").write_text("no picture")
    write_wav(tmp_path / "empty.wav", [])
    Pillow.fromarray(np.zeros((4, 4), "uint16")).save(tmp_path / "deep.png")
    for source, name, message in (
        (Sound(8000, 20), "text.wav", "text.wav is no WAV file of whole numbers"),
        (Sound(8000, 20), "empty.wav", "empty.wav holds no sound at all"),
        (Sound(8000, 20), "none.wav", "There is no file .*none.wav"),
        (Image([4, 4, 1]), "text.png", "text.png is no picture that can be read"),
        (Image([4, 4, 1]), "deep.png", "more than 8 bits a colour"),
        (Image([4, 4, 2]), "text.png", "pictures of 2 channels come as .npy alone"),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            source.read(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_a_source_comes_back_from_its_description():
    for source in (Image([4, 6, 3]), Sound(11025, 30)):
        assert sources.source_of(source.description()).description() == source.description()
    with pytest.raises(ValueError, match="A source is one of image, sound. Received: 'smell'"):
        sources.source_of({"kind": "smell"})
    with pytest.raises(ValueError, match="not described by rate, depth"):
        sources.source_of({"kind": "sound", "rate": 8000, "depth": 3})
