"""The `diptych` command, an extra: `pip install 'diptych[cli]'`."""
