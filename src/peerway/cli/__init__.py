"""One module per verb: parse, ask, print. No decisions."""
