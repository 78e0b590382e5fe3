"""One module per feature. A feature hears events and answers with what it wants; it never acts."""
