"""Erasure of customers: rows lose every word that leads to the person, and keep their counts."""
