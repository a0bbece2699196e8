"""Sources: foreign records become events by a mapping file, without code; each once, however often it comes.

    positions     the line of every key of a TOML text, for errors
    language      what a mapping file says, as values
    pieces        its places, conditions and words, checked
    fields        its events and their expressions, checked
    reading       a whole file: the checks, and errors with file, line and field
    conversions   the closed list of conversions: money, times, pseudonyms ...
    shapes        which places are read, so that the decoder passes over the rest
    documents     bytes to documents: JSON, forms, CSV, Avro, gzip, CloudEvents, Debezium
    evaluation    expressions and conditions, compiled to functions
    mapper        a record to events, or to a letter that says why not
    links         orders, cases and addresses that lead to their customer, on nps.links
    waiting       records whose link is not known yet, on nps.unlinked
    following     nps.links and nps.erasures, read on and on
    process       a source's member of its consumer group: map, send, flush, commit
    samples       records in files, and what they are expected to become
    warnings      doubts about a file that is valid
    draft         the beginning of a mapping file, from a sample

`deploy/SOURCES.md` explains the language to those who write mapping files.
"""
