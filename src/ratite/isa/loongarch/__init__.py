"""LoongArch: LA64, unprivileged. `arch.make_arch` puts a configured instruction set together.

Not modelled: the privileged architecture, LA32, binary translation (LBT) and virtualization (LVZ): their instructions are
illegal, and CPUCFG says that they are absent.
"""
