"""The command `completion`: what makes a shell complete commands, options and names.

The scripts are made from the parsers of the commands, which are loaded without Keras.
"""

import argparse
import importlib
import shlex

SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": 'eval "$(keras-rnnlm completion bash)"       in ~/.bashrc',
    "zsh": 'eval "$(keras-rnnlm completion zsh)"        in ~/.zshrc',
    "fish": "keras-rnnlm completion fish | source        in ~/.config/fish/config.fish",
}


def arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS, help="whose script is printed")
    parser.epilog = "\n".join(["for each new shell:", *(f"  {line}" for line in HOW.values())])


def run(options):
    from keras_rnnlm.__main__ import COMMANDS

    commands = {word: (text, _options(word, module)) for word, (text, module) in COMMANDS.items()}
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](commands))


def _options(word, module):
    """A command's options and positional arguments: the names, the help, and the words that may follow or None."""
    parser = argparse.ArgumentParser(prog=word)
    importlib.import_module(module).arguments(parser)
    return [(a.option_strings, _help(a), _words(a)) for a in parser._actions]


def _help(action):
    return " ".join((action.help or "").split()) % {"default": action.default, "prog": "", "choices": ""}


def _words(action):
    words = action.choices or getattr(action, "words", None)
    if words:
        return [str(word) for word in words]
    if "--recipe" in action.option_strings:
        from keras_rnnlm.training.recipes.recipe import built_in

        return list(built_in())
    return None


def bash(commands, name="keras-rnnlm"):
    """A function that completes, and what registers it."""
    after, own = [], []
    for word, (_, options) in commands.items():
        for strings, _, words in options:
            after += [f'    "{word} {s}") words="{" ".join(words)}" ;;' for s in strings if words]
        listed = " ".join(string for strings, _, _ in options for string in strings)
        places = " ".join(w for strings, _, words in options if not strings and words for w in words)
        own.append(f'    {word}) options="{listed}"; places="{places}" ;;')
    lines = [
        "_keras_rnnlm() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" words="" options="" places=""',
        "  COMPREPLY=()",
        "  if (( COMP_CWORD == 1 )); then",
        f'    COMPREPLY=($(compgen -W "{" ".join(commands)} --help --version" -- "$word")); return',
        "  fi",
        '  case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in',
        *after,
        "  esac",
        '  case "${COMP_WORDS[1]}" in',
        *own,
        "  esac",
        '  if [[ -z "$words" ]]; then if [[ "$word" == -* ]]; then words="$options"; else words="$places"; fi; fi',
        '  if [[ -n "$words" ]]; then COMPREPLY=($(compgen -W "$words" -- "$word")); fi',
        "}",
        f"complete -o default -F _keras_rnnlm {name}",
    ]
    return "\n".join(lines)


def zsh(commands):
    """That of bash, which zsh understands by a module of its own."""
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{bash(commands)}"


def fish(commands, name="keras-rnnlm"):
    lines = []
    for word, (text, options) in commands.items():
        lines.append(f"complete -c {name} -n __fish_use_subcommand -f -a {word} -d {shlex.quote(text)}")
        # The second word of the line, and no later one: a run may be called `run`.
        here = f"complete -c {name} -n 'set -l words (commandline -opc); test \"$words[2]\" = {word}'"
        for strings, meaning, words in options:
            named = "".join(f" -{'l' if s.startswith('--') else 's'} {s.lstrip('-')}" for s in strings)
            follow = f" -xa {shlex.quote(' '.join(words))}" if words else ""
            lines.append(f"{here}{named}{follow} -d {shlex.quote(meaning)}")
    return "\n".join(lines)
