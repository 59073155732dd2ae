"""Which run a model.keras is of, kept in the file itself, so that the files of two runs are not taken for one's."""

import json
import zipfile

from keras_rnnlm.schema import TEXT, Each, Optional, Rule, parse_json

MEMBER = "keras_rnnlm_run.json"
SCHEMA = {"vocabulary": Optional(TEXT), "text": Optional(TEXT), "recipe": Optional(Each(Rule("", lambda value: True)))}


def attach(path, identity):
    """Adds to a .keras file what its run is known by: fingerprints by name, and under "recipe" settings."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, json.dumps(identity))


def attached(path):
    """What was attached; an empty dict where nothing was, as in files of version 0.1.0."""
    try:
        with zipfile.ZipFile(path) as archive:
            return parse_json(archive.read(MEMBER), SCHEMA) if MEMBER in archive.namelist() else {}
    except Exception as error:  # of many kinds: a zip file can be broken in many ways
        raise ValueError(f"{path} cannot be read as a model: {' '.join(str(error).split())[:200]}") from error


def other(recorded, here):
    """What differs between two identities, in words, as far as both say it; None where nothing does."""
    for name in ("vocabulary", "text"):
        if name in recorded and name in here and recorded[name] != here[name]:
            return f"another {name}"
    mine = json.loads(json.dumps(here.get("recipe", {})))
    for name, value in recorded.get("recipe", {}).items():
        if name == "task_settings" and isinstance(value, dict) and name in mine:
            # Other versions of the package know more of them, or fewer.
            value = mine[name] | {key: one for key, one in value.items() if key in mine[name]}
        if name in mine and mine[name] != value:
            return f"another recipe: {name}={value!r} there, {mine[name]!r} here"
    return None
