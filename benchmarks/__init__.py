"""Measurements, run by `scripts/bench`. `docs/performance.md` says what each does and what it gave."""
