"""RISC-V: RV32 and RV64, user to machine mode. `arch.make_arch` puts a configured instruction set together."""
