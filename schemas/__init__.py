"""Wire format: the records, their Avro contract and the topics they travel on.

Imports the standard library, fastavro and the schema registry's client only, so that anyone who talks to the
pipeline can depend on this package alone.
"""
