"""Programs that keep the house in order. None of them is part of the product."""
