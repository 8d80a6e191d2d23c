"""Archs: frozen records, the paper's notation for them, and the spaces that they are searched in.

arch      Stage and Arch, and the family of named ones
layout    `B6(197, m4096)-6(99)`, both ways; token arithmetic
space     domains, and flat params to Arch and back
rules     what an arch of a space must keep beside its domains
members   the stage sequences that the rules allow: counted, listed, drawn, repaired
"""
