"""Incidents beside single answers: falls of NPS, and absences of what should be there."""
