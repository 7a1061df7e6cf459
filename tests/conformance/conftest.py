"""Lets the assertions of the shipped suite explain themselves, as the plugin does for users."""

import pytest

pytest.register_assert_rewrite("diptych.testing.conformance")
