"""The one place that knows the inside of Faust."""
