"""FPGA boards: pins, clock and reset around the SoC, and the way to a bitstream."""
