"""The pipeline's stream side: events in, surveys, rolling NPS and alerts out."""
