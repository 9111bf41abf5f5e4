"""A statement that every call runs: written as SQLAlchemy's, compiled once, and run on the driver.

SQLAlchemy takes ten times as long to run a statement as SQLite does. What is rare goes through `Tx.execute`,
as it is.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

DIALECT = SQLiteDialect_pysqlite()


class Statement:
    """`sql` with its parameters in their order. JSON is written as text; rows come back as SQLite has them:
    JSON as text, truth as 0 and 1.
    """

    def __init__(self, written: ClauseElement):
        compiled = written.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self._own = compiled.params  # those that the statement holds itself, such as its limit
        processors = {
            name: bind.type.dialect_impl(DIALECT).bind_processor(DIALECT)
            for name, bind in compiled.binds.items()
        }
        self._order = [(name, processors[name]) for name in compiled.positiontup or ()]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the statement's parameters in order. `values` go by the names of columns and bindparams;
        what is not among them must be the statement's own.
        """
        parameters = []
        for name, process in self._order:
            value = values[name] if name in values else self._own[name]
            parameters.append(process(value) if process is not None else value)
        return parameters
