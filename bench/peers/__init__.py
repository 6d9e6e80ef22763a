"""What the product is measured against: the usual ways to do the same, done well."""
