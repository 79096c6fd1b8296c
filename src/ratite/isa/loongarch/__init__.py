"""LoongArch: LA64. `arch.make_arch` puts a configured instruction set together.

Not modelled: LA32, binary translation (LBT), virtualization (LVZ), performance counters, watchpoints, and the hardware
page walk of version 1.1: their instructions are illegal, and CPUCFG says that they are absent.
"""
