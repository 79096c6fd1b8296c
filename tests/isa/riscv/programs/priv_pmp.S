# Physical memory protection: permissions, matching, order of entries, locks, and the view lent by MPRV.
#include "privileged.inc"

    .set    R, 1
    .set    W, 2
    .set    X, 4
    .set    TOR, 1 << 3
    .set    NA4, 2 << 3
    .set    NAPOT, 3 << 3
    .set    L, 1 << 7

    # Entries 0 to 3 at once; the last of them in use lets everything else pass.
    .macro  entries c0, c1, c2
    li      t0, ((\c0) | ((\c1) << 8) | ((\c2) << 16)) | ((NAPOT | R | W | X) << 24)
    csrw    pmpcfg0, t0
    sfence.vma
    .endm

    # An entry's address.
    .macro  at entry, symbol, offset
    la      t0, \symbol + \offset
    srli    t0, t0, 2
    csrw    pmpaddr\entry, t0
    .endm

    # The address of a naturally aligned region.
    .macro  region entry, symbol, size
    la      t0, \symbol
    srli    t0, t0, 2
    ori     t0, t0, (\size >> 3) - 1
    csrw    pmpaddr\entry, t0
    .endm

    begin_privileged
    csrw    medeleg, x0
    csrw    mideleg, x0
    csrw    mie, x0
    csrw    satp, x0
    li      t0, -1
    csrw    pmpaddr3, t0
    la      s0, data
    la      s1, data + 0x1000
    la      s2, data + 0x2000

    # Permissions of a page, in all modes.
    region  0, data, 0x1000
    entries NAPOT, 0, 0
    case
    lw      a0, 0(s0)                       # machine mode passes
    sw      a0, 0(s0)
    enter   1
    traps   5, lw a0, 0(s0)
    bne     s10, s0, failed
    case
    enter   1
    traps   7, sw a0, 0(s0)
    case
    enter   0
    traps   1, jr s0
    bne     s7, s0, failed
    case
    enter   0
    lw      a0, 0(s1)
    sw      a0, 0(s1)
    leave
    entries NAPOT | R, 0, 0
    case
    enter   1
    lw      a0, 0(s0)
    traps   7, sw a0, 0(s0)
    case
    enter   1
    traps   7, amoadd.w a0, x0, (s0)
    entries NAPOT | R | W, 0, 0
    case
    enter   1
    lw      a0, 0(s0)
    sw      a0, 0(s0)
    amoadd.w a0, x0, (s0)
    traps   1, jr s0
    entries NAPOT | X, 0, 0
    case
    enter   1
    traps   5, lw a0, 0(s0)

    # The first entry that matches decides.
    case
    region  1, data, 0x4000
    entries NAPOT | R | W, NAPOT, 0
    enter   1
    lw      a0, 0(s0)
    traps   5, lw a0, 0(s1)
    case
    region  0, data, 0x4000
    region  1, data, 0x1000
    entries NAPOT, NAPOT | R, 0
    enter   1
    traps   5, lw a0, 0(s0)

    # TOR: from the entry before, which may be off, to its own address.
    case
    at      0, data, 0x1000
    at      1, data, 0x2000
    entries 0, TOR | R, 0
    enter   1
    lw      a0, 0(s0)
    sw      a0, 0(s0)
    lw      a0, 0(s1)
    sw      a0, 0(s2)
    traps   7, sw a0, 0(s1)
    case
    at      0, data, 0                      # entry 0 begins at address 0
    entries TOR | R | X, 0, 0
    enter   1
    lw      a0, 0(s0)
    sw      a0, 0(s0)
    traps   7, sw a0, -4(s0)
    case
    at      0, data, 0x2000                 # from above: covers nothing
    at      1, data, 0x1000
    entries 0, TOR, 0
    enter   1
    lw      a0, 0(s0)
    lw      a0, 0(s1)
    leave

    # Regions inside a page.
    case
    region  0, data, 8
    entries NAPOT, 0, 0
    enter   1
    lw      a0, 8(s0)
    lw      a0, 12(s0)
    traps   5, lw a0, 4(s0)
    case
    enter   1
    traps   5, lb a0, 7(s0)
    case
    at      0, data, 4
    entries NA4 | R, 0, 0
    enter   1
    sw      a0, 0(s0)
    sw      a0, 8(s0)
    lw      a0, 4(s0)
    traps   7, sw a0, 4(s0)
    bne     s10, s0, 1f
    j       failed
1:  case
    lw      a0, 4(s0)
    sw      a0, 4(s0)
    at      0, data, 0x10
    at      1, data, 0x20
    entries 0, TOR | R, 0
    enter   1
    sw      a0, 0xc(s0)
    sw      a0, 0x20(s0)
    lw      a0, 0x10(s0)
    lw      a0, 0x1c(s0)
    traps   7, sw a0, 0x1c(s0)

    # The view that MPRV lends is protected as the lender's.
    case
    region  0, data, 0x1000
    entries NAPOT | R, 0, 0
    li      a1, MPP
    csrc    mstatus, a1
    li      a1, MPRV | (1 << 11)
    csrs    mstatus, a1
    lw      a0, 0(s0)
    traps   7, sw a0, 0(s0)
    li      a1, MPRV
    csrc    mstatus, a1
    sw      a0, 0(s0)

    # Locked entries bind machine mode, and stay.
    case
    region  2, data, 0x1000
    entries 0, 0, L | NAPOT | R
    lw      a0, 0(s0)
    traps   7, sw a0, 0(s0)
    case
    csrr    a0, pmpaddr2
    csrw    pmpaddr2, x0
    csrr    a1, pmpaddr2
    bne     a0, a1, failed
    entries 0, 0, NAPOT | R | W
    csrr    a0, pmpcfg0
    srli    a0, a0, 16
    andi    a0, a0, 0xff
    expect  a0, L | NAPOT | R
    traps   7, sw a0, 0(s0)
    case
    li      a0, 0x123                       # the address before a locked entry that is not TOR can be changed
    csrw    pmpaddr1, a0
    csrr    a1, pmpaddr1
    bne     a0, a1, failed

    end

    .data
    .balign 0x4000
data:
    .zero   0x4000
