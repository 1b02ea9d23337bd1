"""Where the lessons are written: their sources, what checks their exercises, and what builds the notebooks."""
