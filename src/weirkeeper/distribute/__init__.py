"""Engines, reached: what each connected engine lacks, in safe order, over delta ADS."""
