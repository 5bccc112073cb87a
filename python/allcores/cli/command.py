"""What a command line asks for."""

from __future__ import annotations

__all__ = ["Command", "CommandError", "parse"]


class CommandError(Exception):
    """The command line makes no sense; the text says why."""


class Command:
    """A program to run, and how. (No dataclass: importing that costs more than the rest of the command line.)"""

    def __init__(
        self, kind: str, program: str, arguments: list[str], start_method: str | None = None, report: bool = False
    ) -> None:
        """``kind`` is 'path' (where '-' is standard input), 'module', 'code', or 'help' (no program at all)."""
        self.kind = kind
        self.program = program
        self.arguments = arguments
        self.start_method = start_method
        self.report = report


_KINDS = {"-m": ("module", "a module's name"), "-c": ("code", "code to run")}


def parse(words: list[str]) -> Command:
    """Read the words after ``run``. Options of ours come before the program; the rest is the program's."""
    start_method, report, rest = None, False, list(words)
    while rest:
        word = rest.pop(0)
        if word == "--report":
            report = True
        elif word == "--start-method" or word.startswith("--start-method="):
            _, given, value = word.partition("=")
            if not given and not rest:
                raise CommandError("--start-method needs a value: warm, fork, spawn or forkserver")
            start_method = value if given else rest.pop(0)
        elif word in ("-h", "--help"):
            return Command("help", "", rest)
        elif word[:2] in _KINDS:
            kind, needed = _KINDS[word[:2]]
            program = word[2:] or (rest.pop(0) if rest else None)  # as python does: -mjson and -m json
            if program is None:
                raise CommandError(f"{word} needs {needed}")
            return Command(kind, program, rest, start_method, report)
        elif word == "--" and rest:
            return Command("path", rest.pop(0), rest, start_method, report)
        elif word.startswith("-") and word not in ("-", "--"):
            raise CommandError(
                f"unknown option {word!r}. Options of the program come after its name, "
                f"those of the interpreter before: python {word} -m allcores run PROGRAM"
            )
        elif word != "--":
            return Command("path", word, rest, start_method, report)
    raise CommandError("no program was named")
