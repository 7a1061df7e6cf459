"""Databases that are killed, restarted and replaced under load; and the checker of histories."""
