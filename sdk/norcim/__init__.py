"""norcim: trained networks on NOR-Flash compute-in-memory NPUs."""

__version__ = "0.1.0"
