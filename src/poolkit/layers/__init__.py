"""The layers that are no reductions of sliding windows, one file a family."""
