"""Judgement of comments as answers come: `nps comments`, a process of its own, so that no score waits for it."""
