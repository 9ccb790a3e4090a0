"""From a source through an embedding model into the table, a stage for each, so that a run can go on."""
