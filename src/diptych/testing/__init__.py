"""What tests are written with; import its modules by name."""
