"""The visitor's own pages and the target of the banner's form."""

from .visitor import Visitor, VisitorPages

__all__ = ["Visitor", "VisitorPages"]
