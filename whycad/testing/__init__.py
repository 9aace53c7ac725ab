"""For plugin authors and tests: the contract suite and small plugins to try it on."""
