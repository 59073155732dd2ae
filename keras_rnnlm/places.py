"""What is named by the place where it stands in a module, such as "my_package.cells:Mine"."""

import importlib
import re

_PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_place(value):
    """Whether it says where something stands in a module."""
    return isinstance(value, str) and _PLACE.fullmatch(value) is not None


def imported(place, setting=None):
    """What stands at "package.module:name". A ValueError says why nothing does; `setting` is what named the place."""
    module, _, name = place.partition(":")
    received = "" if setting is None else f". Received: {setting}={place!r}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"There is no {place}: {module} cannot be imported, for Python finds no module {error.name!r}: install it, "
            f"or set PYTHONPATH to the folder that it is in{received}"
        ) from error
    except ImportError as error:
        raise ValueError(f"There is no {place}: {module} cannot be imported ({error}){received}") from error
    if not hasattr(found, name):
        raise ValueError(
            f"There is no {place}: that names something of the module {module}, which has no {name}{received}"
        )
    return getattr(found, name)
