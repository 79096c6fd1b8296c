/* Traps: timer interrupts are counted, everything else is told and ends in the prompt. */
#include "monitor.h"

#define INTERRUPT (1ull << 63)
#define TIMER 7
#define MSTATUS_MIE (1u << 3)
#define MIE_MTIE (1u << 7)

volatile uint64_t ticks;
static uint64_t tick_interval;

static const char *const causes[] = {
    "instruction address misaligned", "instruction access fault", "illegal instruction", "breakpoint",
    "load address misaligned", "load access fault", "store address misaligned", "store access fault",
};

void trap(uint64_t cause, uint64_t pc, uint64_t value)
{
    if (cause == (INTERRUPT | TIMER)) {
        ticks++;
        *MTIMECMP += tick_interval;
        return;
    }
    const char *what = cause < sizeof causes / sizeof *causes ? causes[cause] : "trap";
    print("\n%s (cause 0x%x) at 0x%x, value 0x%x\n", what, cause, pc, value);
    restart();
}

void start_ticks(uint64_t interval)
{
    ticks = 0;
    tick_interval = interval;
    *MTIMECMP = *MTIME + interval;
    set_csr(mie, MIE_MTIE);
    set_csr(mstatus, MSTATUS_MIE);
}

void stop_ticks(void)
{
    clear_csr(mstatus, MSTATUS_MIE);
    clear_csr(mie, MIE_MTIE);
}
