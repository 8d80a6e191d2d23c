"""Reads a study's ledger: numbers first, then tables, plots and one HTML page. It never searches, and needs no backend."""

from fvsearch.report.numbers import Summary, summarise
from fvsearch.report.page import write_report

__all__ = ["Summary", "summarise", "write_report"]
