"""ONNX Runtime Web: what runs an ONNX file in a browser. It is 14 megabytes, and no part of this package.

One version is used, and known by its hashes, wherever it comes from: a folder or an archive that is named, or the
registry of npm, once, and from then on a folder of the user's.
"""

import hashlib
import importlib.util
import io
import os
import pathlib
import sys
import tarfile
import urllib.error
import urllib.request

from keras_rnnlm.schema import read_regular
from keras_rnnlm.whole_files import written_whole

NAME, VERSION = "onnxruntime-web", "1.30.0"
REGISTRY = "https://registry.npmjs.org"
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
# Those of the package from npm hold neither; the package onnxruntime, of the same sources, does.
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
LARGEST = 1 << 27  # bytes of the archive, which has 33 million
SECONDS = 60  # without an answer


def files(named=None, say=lambda text: None):
    """The bytes of each of its files, by name, the licence and notices among them.

    Args:
        named: a folder that holds the files, as `npm install onnxruntime-web@VERSION` and `npm pack` leave them, or the
            .tgz of the latter. By default what was downloaded before, else the registry.
        say: is told of a download.
    """
    if named is not None:
        found = _named(pathlib.Path(named))
    else:
        found = cached()
        if found is None:
            found = _of_archive(_downloaded(say), address())
            _keep(found)
    return {**found, **_notices()}


def cached():
    """The files that were downloaded before, or None."""
    try:
        return _checked({name: (folder() / name).read_bytes() for name in FILES}, folder())
    except (OSError, ValueError):
        return None


def folder():
    """Where a download is kept."""
    home = pathlib.Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return pathlib.Path(base, "keras-rnnlm", f"{NAME}-{VERSION}")


def address():
    """Of the archive; npm's own variable names another registry."""
    registry = os.environ.get("npm_config_registry") or os.environ.get("NPM_CONFIG_REGISTRY") or REGISTRY
    return f"{registry.rstrip('/')}/{NAME}/-/{NAME}-{VERSION}.tgz"


def _named(path):
    if path.is_dir():
        within = [
            path,
            path / "dist",
            path / "package" / "dist",
            path / NAME / "dist",
            path / "node_modules" / NAME / "dist",
        ]
        place = next((place for place in within if all((place / name).is_file() for name in FILES)), None)
        if place is None:
            raise ValueError(f"{path} does not hold {' and '.join(FILES)}, of {NAME} {VERSION}")
        return _checked({name: read_regular(place / name) for name in FILES}, place)
    if not path.exists():
        raise ValueError(f"There is no {path}: {NAME} {VERSION} is a folder, or the .tgz that `npm pack` writes")
    return _of_archive(read_regular(path, LARGEST), path)


def _downloaded(say):
    say(f"downloading {NAME} {VERSION}, once, from {address()}")
    try:
        with urllib.request.urlopen(address(), timeout=SECONDS) as answer:
            return answer.read(LARGEST)
    except (OSError, ValueError) as error:  # an address that is none, too
        reason = getattr(error, "reason", error)
        raise ValueError(
            f"{address()} could not be downloaded ({reason}). Where there is a network, `npm pack {NAME}@{VERSION}` "
            f"writes a file that --{NAME} takes"
        ) from error


def _of_archive(data, name):
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            found = {file: archive.extractfile(f"package/dist/{file}").read() for file in FILES}
    except (tarfile.TarError, OSError, EOFError, KeyError, AttributeError) as error:
        raise ValueError(f"{name} is not the archive of {NAME} {VERSION}: {error}") from error
    return _checked(found, name)


def _checked(found, place):
    for name, data in found.items():
        if hashlib.sha256(data).hexdigest() != FILES[name]:
            raise ValueError(f"{name} of {place} is not that of {NAME} {VERSION}: it is another version, or damaged")
    return found


def _keep(found):
    """For the next time; where that cannot be, this time is not worse for it."""
    try:
        folder().parent.mkdir(parents=True, exist_ok=True)
        with written_whole(folder()) as partial:
            partial.mkdir()
            for name, data in found.items():
                (partial / name).write_bytes(data)
    except OSError:
        pass


def _notices():
    package = importlib.util.find_spec("onnxruntime")
    places = [] if package is None else package.submodule_search_locations
    place = next((pathlib.Path(p) for p in places if all((pathlib.Path(p) / n).is_file() for n in NOTICES)), None)
    if place is None:
        raise ValueError(f"The licence of {NAME} is taken from the package onnxruntime: pip install onnxruntime")
    return {name: (place / name).read_bytes() for name in NOTICES}
