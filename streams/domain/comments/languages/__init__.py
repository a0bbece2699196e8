"""Languages in which comments are understood; a new one is a file beside the others and its line here."""

from streams.domain.comments.languages.de import GERMAN
from streams.domain.comments.languages.en import ENGLISH
from streams.domain.comments.languages.es import SPANISH
from streams.domain.comments.languages.fr import FRENCH
from streams.domain.comments.languages.language import THEMES, Language
from streams.domain.comments.languages.pt import PORTUGUESE

__all__ = ["LANGUAGES", "THEMES", "Language"]

LANGUAGES = {language.code: language for language in (ENGLISH, GERMAN, FRENCH, SPANISH, PORTUGUESE)}
"""Every language by its code, in the order in which one is taken for a comment that two understand alike."""
