"""The exit codes of the command line, and which errors end in which: processes that train together know them, too."""

BROKEN_PIPE = 128 + 13  # what a shell reports of a program whose output nobody reads any more
INTERRUPTED = 130
TOLD = (ValueError, OSError, ImportError)  # the errors that are told in a line


def exit_code_of(error):
    """The exit code that a command ends with by an error.

    >>> exit_code_of(ValueError("a mistake")), exit_code_of(KeyboardInterrupt()), exit_code_of(RuntimeError())
    (2, 130, 1)
    """
    if isinstance(error, KeyboardInterrupt):
        return getattr(error, "exit_code", INTERRUPTED)
    return getattr(error, "exit_code", 2) if isinstance(error, TOLD) else 1
