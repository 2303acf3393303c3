"""The `norcim` command line: parses arguments, calls the library, prints."""
