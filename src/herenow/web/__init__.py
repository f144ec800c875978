"""What every adapter shares, and no framework in it: who a request is, settings, pages, tokens."""
