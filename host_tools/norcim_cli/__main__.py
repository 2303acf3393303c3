"""`python -m norcim_cli`."""

from norcim_cli.main import run_and_exit

run_and_exit()
