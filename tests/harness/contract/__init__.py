"""Mirror of `harness.contract`."""
