"""Pure nouns and arithmetic: keys, prefixes, routes, snapshots, events, and who wins a prefix. No I/O, no clock."""
