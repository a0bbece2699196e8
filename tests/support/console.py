"""Console blocks of documents, as a person would paste them."""


def pasted(block: str) -> str:
    """The commands of a console block: what follows `$ `, with its indented lines."""
    commands, is_command = [], False
    for line in block.splitlines():
        is_command = line.startswith("$ ") or (is_command and line.startswith("  "))
        if is_command:
            commands.append(line.removeprefix("$ "))
    return "\n".join(commands) + "\n"
