"""Scripted journeys through the whole house; their transcripts are committed and read in review."""
