"""The SoC around the NPU: CPU, memory, UART, timer, SPI flash."""
