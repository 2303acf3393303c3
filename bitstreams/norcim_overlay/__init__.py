"""The FPGA overlay that stands in for the chip: gateware in Amaranth and its simulation."""
