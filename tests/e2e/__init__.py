"""kubefab driven for real, on the lab's machines."""
