/* ll.d and sc.q on two doublewords: counts both up, then lets the upper one change in between. Exits with 42 if all is well. */

static unsigned long pair[2] __attribute__((aligned(16)));

static void leave(long status)
{
    register long a0 __asm__("$a0") = status, a7 __asm__("$a7") = 93;
    __asm__ volatile("syscall 0" : : "r"(a0), "r"(a7) : "memory");
}

/* Stores t0 + 1 and t1 + 2, where `between` has been stored to the upper doubleword unless it is zero; whether that went well. */
static long step(long between)
{
    register long t0 __asm__("$t0"), t1 __asm__("$t1"), address __asm__("$a0") = (long)pair, other __asm__("$a1") = between;
    __asm__ volatile("ll.d $t0, $a0, 0\n\t"
                     "ld.d $t1, $a0, 8\n\t"
                     "beqz $a1, 1f\n\t"
                     "st.d $a1, $a0, 8\n"
                     "1:\taddi.d $t0, $t0, 1\n\t"
                     "addi.d $t1, $t1, 2\n\t"
                     ".word 0x3857348c" /* sc.q $t0, $t1, $a0 */
                     : "=r"(t0), "=r"(t1)
                     : "r"(address), "r"(other)
                     : "memory");
    return t0;
}

void _start(void)
{
    for (int n = 0; n < 1000; n++)
        if (!step(0))
            leave(1);
    if (pair[0] != 1000 || pair[1] != 2000)
        leave(2);
    if (step(7) || pair[0] != 1000 || pair[1] != 7)
        leave(3);
    leave(42);
}
