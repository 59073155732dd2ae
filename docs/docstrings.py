"""Shows the examples of docstrings as code: Markdown takes `>>>` for a quotation."""

import re

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*(?:\n(?!\s*$).*)*", flags=re.M)


def fenced(match):
    indent = match[1]
    return f"{indent}```pycon\n{match[0]}\n{indent}```"


class Examples(griffe.Extension):
    """Fences each example of each docstring."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)
