/* Interrupts: of software, the timer, and other cores; priorities, vectors, idle; the clock. */

#include "bare.h"

#define FREQUENCY 100000000ul

static void probe_pending(const char *name, u64 enabled)
{
    csr_write(ECFG, enabled);
    const u32 words[] = {NOP};
    struct frame *f = run(words, 1, code, (u64)code, IE);
    text(name);
    put(':');
    if (went_well(f)) {
        text(" none\n");
    } else {
        field("ecode", f->estat >> 16 & 0x3F);
        field("is", f->estat & 0x1FFF);
        field("at", f->era - f->pc);
        field("prmd", f->prmd_then);
        field("crmd", f->crmd_then);
        put('\n');
    }
    csr_write(ECFG, 0);
}

static u64 clock(void)
{
    u64 now;
    __asm__ volatile("rdtime.d %0, $zero" : "=r"(now));
    return now;
}

static void wait(u64 ticks)
{
    for (u64 from = clock(); clock() - from < ticks;) {}
}

int main(void)
{
    start();
    csr_write(TICLR, 1);
    line("nothing is asked for", csr_read(ESTAT) & 0x1FFF);
    probe_pending("nothing", 0x1FFF);

    csr_write(ESTAT, 1);
    probe_pending("software 0", 0x1FFF);
    probe_pending("software 0, not enabled", 0x1FFE);
    csr_write(ESTAT, 3);
    probe_pending("both of software", 0x1FFF);
    csr_write(ESTAT, 0);

    /* A vector for each: those that arrive at the common entry are those of number 0. */
    csr_write(ESTAT, 2);
    csr_write(ECFG, 2);
    line("ecfg", csr_read(ECFG));
    csr_write(ESTAT, 0);

    /* The timer, once. */
    csr_write(TCFG, 5000000 | 1);
    u64 left = csr_read(TVAL);
    line("tcfg", csr_read(TCFG));
    line("it runs down", left <= 5000000 && left > 0);
    wait(7500000);
    line("asked for", csr_read(ESTAT) & 0x1FFF);
    line("tcfg after once", csr_read(TCFG));
    probe_pending("timer", 0x1FFF);
    csr_write(ESTAT, 1);
    probe_pending("timer and software", 0x1FFF);
    csr_write(ESTAT, 0);
    csr_write(TICLR, 0);
    line("not cleared by 0", csr_read(ESTAT) & 0x1FFF);
    csr_write(TICLR, 1);
    line("cleared by 1", csr_read(ESTAT) & 0x1FFF);
    line("ticlr reads", csr_read(TICLR));

    /* And again and again. */
    csr_write(TCFG, 5000000 | 3);
    wait(7500000);
    line("periodic, asked for", csr_read(ESTAT) & 0x1FFF);
    csr_write(TICLR, 1);
    wait(7500000);
    line("periodic, again", csr_read(ESTAT) & 0x1FFF);
    line("periodic, still on", csr_read(TCFG));
    csr_write(TCFG, 0);
    csr_write(TICLR, 1);
    wait(7500000);
    line("off", csr_read(ESTAT) & 0x1FFF);

    /* idle goes on when the timer fires, though interrupts are off as a whole. */
    csr_write(ECFG, 1 << 11);
    csr_write(TCFG, 20000000 | 1);
    u64 before = clock();
    arguments[0] = 0;
    probe("idle", IE, IDLE, NOP);
    u64 after = clock();
    line("it waited", after - before >= 20000000 && after - before < FREQUENCY);
    csr_write(TICLR, 1);
    csr_write(ECFG, 0);

    /* From core to core, and that is this one. */
    iocsr_write(0x1004, 0xFFFFFFFF);
    iocsr_write(0x1040, 5);
    line("ipi status", iocsr_read(0x1000) & 0xFFFFFFFF);
    line("asked for by the core itself", csr_read(ESTAT) & 0x1FFF);
    csr_write(ESTAT, 1);
    probe_pending("ipi and software", 0x1FFF);
    csr_write(ESTAT, 0);
    iocsr_write(0x100C, 1 << 5);
    line("cleared", csr_read(ESTAT) & 0x1FFF);
    iocsr_write(0x1008, 0x30);
    line("set by its register", iocsr_read(0x1000) & 0xFFFFFFFF);
    iocsr_write(0x1004, 0x0F);
    line("not enabled", csr_read(ESTAT) & 0x1FFF);
    iocsr_write(0x1004, 0x10);
    line("enabled", csr_read(ESTAT) & 0x1FFF);
    iocsr_write(0x100C, 0xFFFFFFFF);
    u64 mail = 0xABCDEF01ul << 32 | 0 << 16 | 1 << 2;
    __asm__ volatile("iocsrwr.d %0, %1" : : "r"(mail), "r"(0x1048ul));
    u64 box;
    __asm__ volatile("iocsrrd.d %0, %1" : "=r"(box) : "r"(0x1020ul));
    line("mail", box);
    line("features", iocsr_read(8) & 0xFFFF);
    __asm__ volatile("iocsrrd.d %0, %1" : "=r"(box) : "r"(0x10ul));
    line("vendor", box);
    __asm__ volatile("iocsrrd.d %0, %1" : "=r"(box) : "r"(0x20ul));
    line("name", box);

    /* The clock. */
    csr_write(TID, 0x7654);
    u64 now, tid;
    __asm__ volatile("rdtime.d %0, %1" : "=r"(now), "=r"(tid));
    wait(10);
    line("it runs", clock() > now);
    line("number of the counter", tid);
    u64 low, high;
    __asm__ volatile("rdtimel.w %0, $zero\nrdtimeh.w %1, $zero" : "=&r"(low), "=&r"(high));
    line("words are extended", (u64)(long)(int)low == low && high == 0);
    finish();
}
