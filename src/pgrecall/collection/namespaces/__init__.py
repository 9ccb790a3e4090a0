"""Our own tables beside the collections: ledgers, key-value storages, and the runs of ingestion."""
