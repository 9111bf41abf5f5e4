"""What crosses the border between server and harness over HTTP: frozen values with a documented field each.

Rule: requests, which the server receives, refuse fields that they do not have; answers, which the harness
receives, leave out fields that a newer server adds. In both, a missing or an ill-typed field is one clear
error. A field that nobody sets does not travel, so that older and newer sides understand each other.
"""
