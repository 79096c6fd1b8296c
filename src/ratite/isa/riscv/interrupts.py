"""The numbers of interrupts, as in mip and mcause (ISA manual volume II, 20211203, table 3.6)."""

SSI, MSI, STI, MTI, SEI, MEI = 1, 3, 5, 7, 9, 11
