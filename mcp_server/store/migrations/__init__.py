"""The ways from each version of the database to the next: one file in `versions/` each, run by Alembic.

Rule: a migration that a release has run is never edited; it names tables and columns itself and imports
nothing of ours, because they have changed by the time it runs again. Nothing here imports Alembic: most
starts need none.
"""

from pathlib import Path

VERSIONS = Path(__file__).with_name("versions")
# In their order: a version is the number that its file begins with.
REVISIONS = tuple(sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py")))
