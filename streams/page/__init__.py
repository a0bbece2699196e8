"""Live page: rolling NPS, falls, incidents, detractors and the pipeline's health, shown as they change."""
