"""The command line: `keras-rnnlm-runtime run`, `predict` and `verify`."""

import sys

from keras_rnnlm_runtime import command_line


def main(argv=None):
    return command_line.main(argv, "keras-rnnlm-runtime", ("run", "predict", "verify"))


if __name__ == "__main__":
    sys.exit(main())
