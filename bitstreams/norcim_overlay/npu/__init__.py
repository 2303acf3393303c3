"""The NPU: executes the descriptors of `norcim.spec.program`."""
