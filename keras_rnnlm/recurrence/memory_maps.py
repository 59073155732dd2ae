"""How much of the memory that a process may map is mapped: each program that XLA compiles takes some, for good."""

import pathlib
import warnings

MAPS, LIMIT = pathlib.Path("/proc/self/maps"), pathlib.Path("/proc/sys/vm/max_map_count")
SHARE = 0.8  # of the limit, beyond which it is said, once

_said = []


def count():
    """How many pieces of memory this process has mapped, None where the system does not say: only Linux has a limit."""
    try:
        with MAPS.open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return None


def warn_near_the_limit():
    """Warns where few more programs can be compiled: at the limit the process ends without a word."""
    maps = None if _said else count()
    if maps is None:
        return
    try:
        limit = int(LIMIT.read_text())
    except (OSError, ValueError):
        return
    if maps > SHARE * limit:
        _said.append(maps)
        warnings.warn(
            f"This process has mapped {maps:,} of the {limit:,} pieces of memory that Linux lets it map, and ends "
            "with a segmentation fault when it needs more. Programs that XLA compiled take most of them, and keep "
            "them: some for each kind of layer, batch size and length. Use fewer of these in a process, or another "
            "process, or raise the limit as root: sysctl vm.max_map_count=1000000",
            stacklevel=2,
        )
