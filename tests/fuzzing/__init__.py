"""Damaged input for every door of the product: `harness` runs cases, each other module is one door."""
