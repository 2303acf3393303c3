"""`python -m norcim`: the command line, as `norcim`."""

from norcim_cli.main import run_and_exit

run_and_exit()
