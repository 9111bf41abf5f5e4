"""The model gateway: agents' model requests passed on with the account's key, counted, and kept within quota
and budget.
"""
