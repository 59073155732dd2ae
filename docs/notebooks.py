"""The notebooks of `examples/notebooks` as pages of the site: text, code, and what a run printed and drew."""

import base64
import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "examples" / "notebooks"
END = "\n---\n\nThis page is `examples/notebooks/{name}`, as it was run.\n"


def pages():
    """Of each notebook the name of its page, the Markdown, and its pictures, bytes by the name that stands there."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        slug = path.stem.replace("_", "-")
        yield slug, *page_of(json.loads(path.read_text(encoding="utf-8")), slug, path.name)


def page_of(notebook, slug, name):
    parts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(_fenced(source, "python"))
        for output in cell["outputs"]:
            if "text" in output:
                parts.append(_fenced("".join(output["text"]), "text"))
            elif "image/png" in output.get("data", {}):
                picture = f"{slug}-{len(pictures) + 1}.png"
                pictures[picture] = base64.b64decode("".join(output["data"]["image/png"]))
                parts.append(f"![What the code above draws]({picture})")
            elif "text/plain" in output.get("data", {}):
                parts.append(_fenced("".join(output["data"]["text/plain"]), "text"))
    return "\n\n".join(parts) + "\n" + END.format(name=name), pictures


def _fenced(text, language):
    return f"````{language}\n{text.strip(chr(10))}\n````"
