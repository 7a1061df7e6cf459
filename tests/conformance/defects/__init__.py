"""Stores with one defect each, to examine the suite: `test_defects.py` shows that it finds them.

A defect is an `Opening` that does one thing wrong, in the way in which stores were seen to do it
wrong; `fails` names the tests that must turn red on it.
"""
