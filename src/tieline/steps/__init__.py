"""Steps: what runs beside the user's code, the same in every engine; and the collector of outputs and logs."""
