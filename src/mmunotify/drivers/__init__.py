"""Drivers: secondary MMUs as worked examples, one file each."""
