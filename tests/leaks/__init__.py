"""The leak suite: pages written to leak, and what a browser really does with them behind each layer of the gate."""
