"""Quotation of names and texts for SQL, where the server cannot bind them."""


def quoted_name(name: str) -> str:
    """Quote a name of a table, column or cluster."""
    return "`" + _escaped(name, "`") + "`"


def quoted_text(text: str) -> str:
    """Quote a string."""
    return "'" + _escaped(text, "'") + "'"


def _escaped(text: str, mark: str) -> str:
    return text.replace("\\", "\\\\").replace(mark, f"\\{mark}")
