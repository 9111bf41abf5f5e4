"""What is known of models and accounts: prices, quotas, budgets and usage. No request is made from here."""
