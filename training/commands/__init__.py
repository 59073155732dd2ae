"""The commands of training: one a file, with `arguments(parser)`, `run(options)` and the function of its name."""
