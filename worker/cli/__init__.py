"""The command line: commands, and all wording for people. One module for each group of commands."""

from worker.cli.program import program

__all__ = ["main", "program"]


def main() -> None:
    """Run `b24sync` with the arguments of this process."""
    program.main(prog_name="b24sync")
