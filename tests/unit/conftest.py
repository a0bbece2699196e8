"""Laws are checked without a deadline: a busy machine is no counterexample."""

from hypothesis import settings

settings.register_profile("laws", deadline=None, max_examples=100)
settings.load_profile("laws")
