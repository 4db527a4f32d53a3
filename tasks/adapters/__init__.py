"""One module per outside system; each translates its errors into ours. Settings are read only here."""
