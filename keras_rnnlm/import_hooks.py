"""What happens when a module is imported: hooks for `sys.meta_path`."""

import importlib
import importlib.abc
import importlib.util
import sys


class After(importlib.abc.MetaPathFinder):
    """Calls `then(module)` when the import of a module ends."""

    def __init__(self, name, then):
        self.name, self.then = name, then

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                self.then(module)

            spec.loader.exec_module = exec_module
        return spec


class KerasFirst(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports Keras, and with it every room of classes, before the first of the modules that need it.

    A room that imported Keras itself would be half made when the others are imported.
    """

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name not in self.names or "keras" in sys.modules:
            return None
        importlib.import_module("keras")
        module = importlib.import_module(name)
        self.made = module, module.__spec__
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return self.made[0]

    def exec_module(self, module):
        module.__spec__ = self.made[1]  # it is made already
