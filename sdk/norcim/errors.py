"""The one exception that norcim raises for faults of input, model, chip, image or link.

An error says what is wrong, where, what was expected and what was found, why it matters and how to
fix it, under a stable id. A bug in norcim itself is any other exception.

Id ranges: 01xx command line and files, 02xx ONNX import, 03xx mapping and fit, 04xx quantisation,
05xx image, 06xx device and link, 07xx chip files, 08xx audio, 09xx execution.
"""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNSUPPORTED = 3
EXIT_DIFFER = 4
EXIT_DEVICE = 5
EXIT_INTERRUPTED = 130


class NorcimError(Exception):
    """A fault that a user can act on.

    id         stable, `NC-E` and four digits
    what       one sentence: what is wrong
    where      node, layer, tile, file or offset
    expected   what would have been right
    got        what was found
    why        the reason behind the rule
    fix        what to do now
    exit_code  what the command line exits with
    """

    def __init__(
        self,
        id: str,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        got: str = "",
        why: str = "",
        fix: str = "",
        exit_code: int = EXIT_FAILED,
    ) -> None:
        self.id = id
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.why = why
        self.fix = fix
        self.exit_code = exit_code
        super().__init__(str(self))

    def parts(self) -> dict[str, str]:
        """The non-empty parts by name, in reading order."""
        names = ("what", "where", "expected", "got", "why", "fix")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def __str__(self) -> str:
        head = f"{self.id} {self.where}: {self.what}" if self.where else f"{self.id} {self.what}"
        tail = [f"{name}: {text}" for name, text in self.parts().items()]
        return "; ".join([head, *(t for t in tail if not t.startswith(("what:", "where:")))])
