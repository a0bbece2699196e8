"""Commands of `nps`, a module for each kind; `streams.cli` parses their arguments."""
