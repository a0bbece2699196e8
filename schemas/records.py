"""Named tuples made fast: `new(Journey, fields)` takes a third of the time of `Journey(*fields)`; unchecked."""

new = tuple.__new__
