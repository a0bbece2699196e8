"""Incidents beside single answers: groups of detractors, falls of NPS, and absences of what should be there."""
