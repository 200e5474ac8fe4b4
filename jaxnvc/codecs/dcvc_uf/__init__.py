"""DCVC-UF: intra, low delay (LD) and chunks of eight frames (HT-S, HT-L)."""
