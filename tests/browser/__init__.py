"""Tests in a real browser. They are synchronous throughout: see `world`."""
