"""BEGIN, COMMIT, END and ROLLBACK."""


def parse(cursor):
    word = cursor.advance()[2]
    cursor.take("TRANSACTION")
    return ("transaction", {"BEGIN": "begin", "ROLLBACK": "rollback"}.get(word, "commit"))
