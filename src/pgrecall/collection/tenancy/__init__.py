"""Domains as wholes: what they hold, their partitions, and the policies that keep them apart."""
