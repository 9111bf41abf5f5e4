"""The runner: claims oracle jobs, runs them in boxes and answers with what it saw."""
