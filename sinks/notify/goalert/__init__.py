"""Receiver GoAlert, by its generic API: one alert there for each incident."""
