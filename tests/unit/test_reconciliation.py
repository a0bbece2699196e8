"""Reconciliation: when a figure agrees."""

import pytest

from streams.proof.reconciliation import NOT_RECOUNTED, Figure


@pytest.mark.parametrize(
    ("recount", "stream", "clickhouse", "agrees"),
    [(1, 1, 1, True), (2, 1, 1, False), (1, 1, 2, False), (NOT_RECOUNTED, 1, 1, True), (NOT_RECOUNTED, 1, 2, False)],
)
def test_a_figure_agrees_with_all_that_counted(recount: object, stream: int, clickhouse: int, agrees: bool) -> None:
    """What the input alone cannot tell is compared between stream and ClickHouse alone."""
    assert Figure("figure", recount, stream, clickhouse).agrees is agrees
