"""What `scripts/bench` runs when no benchmark is named: what a request costs, and how fast pages are gated."""

from __future__ import annotations

from benchmarks import gate, requests

if __name__ == "__main__":
    requests.main([])
    gate.main(["--quick"])
