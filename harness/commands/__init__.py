"""One verb, one file: each reads its options, acts through the rest of `harness`, and prints."""
