"""Invented people, drawn, and packed as the real downloads are."""
