"""Data sets as people keep them: layouts, checks, splits, import and export."""
