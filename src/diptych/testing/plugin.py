"""The pytest plugin: fixtures for tests of applications.

pytest imports this module in every run of everybody who has Diptych installed, so nothing but
pytest is imported here.
"""

import pytest

pytest.register_assert_rewrite("diptych.testing.conformance")
