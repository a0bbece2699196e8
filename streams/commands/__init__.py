"""What the commands of `nps` do, a module for each kind; `streams.cli` gives them their words."""
