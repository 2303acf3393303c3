"""The table of commands. A row is all that `norcim --help` needs; the module is imported on use."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import click


@dataclass(frozen=True)
class Entry:
    """A command: where it stands in the help, and where its click command is."""

    section: str
    name: str
    target: str  # module:attribute
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, attribute = self.target.split(":")
        command: click.Command = getattr(import_module(f"norcim_cli.commands.{module}"), attribute)
        return command


MODEL, RUN, DEVICE, SETUP = "Model to image", "Run without a board", "Devices", "About"

ENTRIES = (
    Entry(
        MODEL,
        "analyse",
        "analyse:analyse",
        "Say whether a model fits a chip; what it costs.",
    ),
    Entry(MODEL, "compile", "compile:compile_", "Turn an ONNX model into a weight image."),
    Entry(MODEL, "info", "info:info", "Show what a weight image or a model holds."),
    Entry(MODEL, "estimate", "estimate:estimate", "Estimate latency and energy of one inference."),
    Entry(MODEL, "ops", "ops:ops", "List the ONNX operators that are supported."),
    Entry(RUN, "demo", "demo:demo", "Recognise spoken words on an emulated device."),
    Entry(RUN, "run", "run:run", "Run an image on inputs from a file."),
    Entry(RUN, "eval", "eval:eval_", "Measure accuracy, layer errors and converter saturation."),
    Entry(RUN, "sweep", "sweep:sweep", "Measure accuracy, or SNR, over values of a chip file."),
    Entry(RUN, "validate", "validate:validate", "Compare a device with the emulator, bit by bit."),
    Entry(DEVICE, "devices", "devices:devices", "List the devices that can be opened."),
    Entry(DEVICE, "flash", "flash:flash", "Write an image to a device, verify and activate it."),
    Entry(DEVICE, "verify", "verify:verify", "Check a device's slot against its own checksum."),
    Entry(DEVICE, "board", "board:board", "Virtual boards, and bitstreams for real ones."),
    Entry(SETUP, "chips", "chips:chips", "List the chips, or every value of one."),
    Entry(SETUP, "doctor", "doctor:doctor", "Check the installation and show the configuration."),
    Entry(SETUP, "completion", "completion:completion", "Print the shell completion script."),
)


class LazyGroup(click.Group):
    """A click group whose commands are rows of ENTRIES."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [entry.name for entry in ENTRIES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None."""
        for entry in ENTRIES:
            if entry.name == cmd_name:
                return entry.load()
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands under their sections, without importing any."""
        width = max(len(entry.name) for entry in ENTRIES)
        for section in dict.fromkeys(entry.section for entry in ENTRIES):
            rows = [(e.name.ljust(width), e.summary) for e in ENTRIES if e.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but a misspelt name gets a suggestion."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)
