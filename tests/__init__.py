"""The tests mirror the modules: kubefab/facts.py has tests/test_facts.py."""
