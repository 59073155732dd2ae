"""keras-rnnlm-runtime, for small machines: what runs exported models, from the same source files, without Keras.

Its import package has a name of its own, `keras_rnnlm_runtime`: what is taken from this repository is written into the
wheel with its imports renamed. So keras-rnnlm and this one share no file, which the uninstalling of one would take from
the other, and keras-rnnlm need not depend on it: pip finds a dependency in an index, not in the folder beside. A source
distribution carries what is taken, as it stands in the repository, in its folder `repository`.
"""

import configparser
import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).resolve().parent
CARRIED = HERE / "repository"
ROOT = CARRIED if CARRIED.is_dir() else HERE.parent
NAME = "keras_rnnlm_runtime"
# What is taken, and where it stands; of the command line, all but the module that Python runs.
SOURCES = {
    "keras_rnnlm/__main__.py": "command_line.py",
    "keras_rnnlm/belonging.py": ".",
    "keras_rnnlm/exit_codes.py": ".",
    "keras_rnnlm/installed.py": ".",
    "keras_rnnlm/quiet.py": ".",
    "keras_rnnlm/schema.py": ".",
    "keras_rnnlm/standard_streams.py": ".",
    "keras_rnnlm/perplexity.py": ".",
    "keras_rnnlm/places.py": ".",
    "keras_rnnlm/predict.py": ".",
    "keras_rnnlm/tasks.py": ".",
    "keras_rnnlm/viterbi.py": ".",
    "keras_rnnlm/whole_files.py": ".",
    "keras_rnnlm/generation/*.py": "generation",
    "keras_rnnlm/sources/*.py": "sources",
    "keras_rnnlm/text/*.py": "text",
    "export/__init__.py": "export",
    "export/bounds.py": "export",
    "export/folder.py": "export",
    "export/manifest.py": "export",
    "export/commands/__init__.py": "export/commands",
    "export/commands/run.py": "export/commands",
    "export/commands/verify.py": "export/commands",
    "export/runtime/*.py": "export/runtime",
    "LICENSE": ".",
}


def write_package(folder):
    """Writes the package into a folder, in place of what an earlier build left."""
    shutil.rmtree(folder / NAME, ignore_errors=True)
    for source in (HERE / NAME).glob("*.py"):
        _write(source, folder / NAME / source.name)
    for pattern, place in SOURCES.items():
        for source in ROOT.glob(pattern):
            target = folder / NAME / place
            _write(source, target if target.suffix == ".py" else target / source.name)


def _write(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8")
    target.write_text(re.sub(r"\bkeras_rnnlm(?=\.\w| import )", NAME, text), encoding="utf-8")


def carry(folder):
    """Copies what is taken from the repository into a folder, and what says the version and what is needed."""
    for pattern in (*SOURCES, "keras_rnnlm/__init__.py", "setup.cfg"):
        for source in ROOT.glob(pattern):
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def setup():
    import setuptools
    from setuptools.command.build_py import build_py
    from setuptools.command.sdist import sdist

    class Build(build_py):
        def run(self):
            write_package(pathlib.Path(self.build_lib))

    class Sources(sdist):
        def make_release_tree(self, base_dir, files):
            super().make_release_tree(base_dir, files)
            carry(pathlib.Path(base_dir) / CARRIED.name)

    of_all = configparser.ConfigParser()
    of_all.read(ROOT / "setup.cfg")
    needed = of_all["options"]["install_requires"].split()
    needed = {re.split(r"[<>=!]", line)[0]: line for line in needed}
    setuptools.setup(
        name="keras-rnnlm-runtime",
        version=re.search(r'^__version__ = "(.+)"$', (ROOT / "keras_rnnlm/__init__.py").read_text(), re.M)[1],
        description="Runs language models that keras-rnnlm exported to ONNX and LiteRT, without Keras and TensorFlow",
        long_description='Choose a runtime: `pip install "keras-rnnlm-runtime[onnx]"`, or `[litert]`.',
        long_description_content_type="text/markdown",
        license="Apache-2.0",
        python_requires=of_all["options"]["python_requires"],
        packages=[NAME],
        cmdclass={"build_py": Build, "sdist": Sources},
        install_requires=[needed["numpy"], needed["tokenizers"]],
        extras_require={"onnx": [needed["onnxruntime"]], "litert": [needed["ai-edge-litert"]]},
        entry_points={"console_scripts": [f"keras-rnnlm-runtime = {NAME}.__main__:main"]},
    )


if __name__ == "__main__":
    setup()
