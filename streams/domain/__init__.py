"""The rules of the product as pure functions: no clock, no network, no environment, only `schemas` and tzdata."""
