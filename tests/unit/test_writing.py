"""Finding the bad row, until there are too many."""

import pytest

from schemas.errors import FuseBlown
from sinks.writing import RefusalFuse, write
from tests.support.warehouses import Picky


def test_the_fuse_blows_when_row_after_row_is_refused() -> None:
    """It counts across batches, and one row written starts it anew."""
    picky, fuse = Picky(), RefusalFuse(2)
    for _ in range(3):
        write(picky, "t", ("n",), [(-1,), (-1,), (1,)], fuse)
    write(picky, "t", ("n",), [(-1,), (-1,)], fuse)
    with pytest.raises(FuseBlown, match="table t refused 3 rows in a row, the last because negative"):
        write(picky, "t", ("n",), [(-1,)], fuse)
