"""``python -m cookiegate``: the same as the ``cookiegate`` command."""

from .cli import main

main()
