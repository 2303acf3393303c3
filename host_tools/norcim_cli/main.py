"""Entry point: runs a command and turns what it raises into messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from norcim import __version__
from norcim.errors import EXIT_FAILED, EXIT_INTERRUPTED, NorcimError
from norcim_cli import console
from norcim_cli.registry import LazyGroup

HELP = """Run trained neural networks on NOR-Flash compute-in-memory NPUs.

An ONNX model becomes one weight image; emulator, virtual board and board give the same bits.
Start with `norcim demo`.
"""

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not supported or does not fit, 4 outputs differ, "
    "5 device or link, 130 interrupted. `norcim COMMAND --help` explains a command."
)


@click.group(
    cls=LazyGroup,
    help=HELP,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="norcim", message="%(prog)s %(version)s")
def cli() -> None:
    """The group; its help is HELP."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    arguments = list(sys.argv[1:] if args is None else args)
    console.reset(json_mode="--json" in arguments)
    try:
        return _run(arguments)
    except NorcimError as error:
        console.print_error(error)
        return error.exit_code
    except click.ClickException as error:
        console.print_usage_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        console.log("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output is gone (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:  # a bug: anything that is not a NorcimError
        console.print_bug(error, arguments)
        return EXIT_FAILED


def _run(arguments: list[str]) -> int:
    result = cli.main(arguments, prog_name="norcim", standalone_mode=False)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def run_and_exit() -> None:
    """What the console script calls."""
    sys.exit(main())


if __name__ == "__main__":
    run_and_exit()
