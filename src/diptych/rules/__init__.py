"""What a pure rule is, as a hash: by it tables and snapshots know which code made them."""
