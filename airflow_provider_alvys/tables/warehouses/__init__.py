"""The statements that load landed files into warehouses: generated, for users to run."""
