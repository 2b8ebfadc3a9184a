"""Each add-on beside a golden file of what is applied."""
