"""Measurements on the real parts, each printed with its bound beside it. Rule: nothing printed is a constant
but the bounds.
"""
