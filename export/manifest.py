"""What an export folder says about itself: manifest.json."""

import hashlib
import json
import pathlib

MANIFEST = "manifest.json"
FORMAT = 1


def read_manifest(folder):
    """The manifest of an export folder."""
    path = pathlib.Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
        manifest["artifacts"], manifest["model"]
    except FileNotFoundError as error:
        raise ValueError(f"{folder} is no export: it holds no {MANIFEST}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if version != FORMAT:
        raise ValueError(f"{path} is of format {version}, and this version reads format {FORMAT}")
    return manifest


def hashes(path):
    """The size and the SHA-256 of a file, or of each file of a folder."""
    path = pathlib.Path(path)
    if path.is_file():
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {
        "bytes": sum(p.stat().st_size for p in files),
        "sha256": {p.relative_to(path).as_posix(): sha256(p) for p in files},
    }


def check_whole(path, entry):
    """Raises unless a file, or a folder, is the one that was written."""
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"{path} is missing: the manifest beside it names it. Export again")
    if hashes(path) != {"bytes": entry["bytes"], "sha256": entry["sha256"]}:
        raise ValueError(f"{path} is not the one that was exported: it was changed, or cut short. Export again")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
