"""The command line: parse, call the library, print."""

from embrm.cli.app import main

__all__ = ["main"]
