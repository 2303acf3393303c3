"""One module per command; norcim_cli.registry lists them, and imports none until it is used."""
