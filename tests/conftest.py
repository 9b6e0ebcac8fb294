"""What all tests share: nothing yet but the place."""
