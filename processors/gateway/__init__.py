"""One path for every call to a model: budget, limits, retries, prices, and a record of what was spent."""
