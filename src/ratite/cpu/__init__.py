"""Running guest code: translation of pages to machine code, the vCPU and its run loop. Knows no ISA by name."""
