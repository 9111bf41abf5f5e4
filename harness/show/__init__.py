"""How a run is shown to people: lines, a live table and reports."""
