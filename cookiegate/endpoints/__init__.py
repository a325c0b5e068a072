"""The visitor's own pages and the target of the banner's form."""

from .reports import ReportDesk
from .visitor import Visitor, VisitorPages

__all__ = ["ReportDesk", "Visitor", "VisitorPages"]
