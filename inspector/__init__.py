"""A line-side vision inspection station: GenICam frames in, verdicts and gate decisions out."""

__version__ = "0.1.0"
